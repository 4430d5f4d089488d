// SPDX-License-Identifier: MIT
#include "parity/judge.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <espalier/core/error.hpp>

namespace espalier::test::parity {
namespace {

constexpr char kMagic[] = "espalier parity 1\n";

/// Of sum (a − b)² / sum b². Never to be weakened: a case that does not keep them has ill-chosen inputs or a fault.
double bound_of(Precision p) { return p == Precision::fp64 ? 1e-20 : p == Precision::fp32 ? 1e-10 : 1e-4; }

double as_bf16(double x) { return double(float(BFloat16(float(x)))); }

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

/// Index of the first number that differs; −1: none.
long first_difference(const std::vector<double>& a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!(a[i] == b[i])) return long(i);
  return -1;
}

double seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

}  // namespace

void Judge::fail(Precision precision, const std::string& name, const std::string& why) {
  ++failures_;
  std::printf("FAILED  %s/%s: %s\n", name_of(precision), name.c_str(), why.c_str());
}

const std::vector<double>& Judge::recorded(Precision precision, const std::string& name) const {
  const auto at = record_.find(std::string(name_of(precision)) + "/" + name);
  if (at == record_.end()) espalier::fail(Errc::failed, "the record has no {}/{}", name_of(precision), name);
  return at->second;
}

const std::vector<double>* Judge::reference(Precision precision, const std::string& name) const {
  if (recording_ && precision != Precision::fp32) return nullptr;
  return &recorded(precision == Precision::fp32 ? Precision::fp64 : precision, name);
}

void Judge::settle(Precision precision, const std::string& name, const std::array<Outputs, 3>& runs) {
  cases_.insert(name_of(precision) + ("/" + name));
  const auto& first = runs[0].list;
  if (first.empty()) return fail(precision, name, "computed nothing");
  for (int run = 1; run < 3; ++run) {
    const auto& other = runs[std::size_t(run)].list;
    if (other.size() != first.size()) return fail(precision, name, "computed something else the next time");
    for (std::size_t i = 0; i < first.size(); ++i, ++comparisons_)
      if (other[i].name != first[i].name || !same_bits(other[i].numbers, first[i].numbers))
        fail(precision, name, format("{} has other bits in run {}", first[i].name, run + 1));
  }
  for (const Output& output : first) {
    ++comparisons_;
    const std::string path = name + "/" + output.name;
    const std::string why = mismatch(precision, path, output);
    if (!why.empty()) fail(precision, path, why);
  }
}

/// Empty: as it should be.
std::string Judge::mismatch(Precision precision, const std::string& path, const Output& output) {
  const auto& x = output.numbers;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (!std::isfinite(x[i])) return format("number {} of {} is {}", i, x.size(), x[i]);
  if (output.match == Match::repeats) return "";

  std::vector<double> expected = output.expected;
  if (expected.empty()) {
    const bool of_doubles =
        precision == Precision::fp32 && output.match != Match::exact && output.match != Match::rounded;
    const std::string reference = name_of(of_doubles ? Precision::fp64 : precision) + ("/" + path);
    if (recording_ && !of_doubles) {
      if (!record_.emplace(reference, x).second) return "there are two of this name";
    }
    const auto at = record_.find(reference);
    if (at == record_.end()) return "is not in the record";
    met_.insert(reference);
    expected = at->second;
  }
  if (expected.size() != x.size()) return format("{} numbers, expected {}", x.size(), expected.size());

  if (output.match == Match::kept) return "";
  if (output.match == Match::most) {
    std::size_t others = 0;
    for (std::size_t i = 0; i < x.size(); ++i) others += x[i] != expected[i];
    if (verbose_) std::printf("        %-5s %zu of %zu are others  %s\n", name_of(precision), others, x.size(), path.c_str());
    return double(others) <= output.bound * double(x.size()) ? "" : format("{} of {} numbers are others", others, x.size());
  }
  if (output.match == Match::exact || output.match == Match::rounded) {
    if (output.match == Match::rounded && precision == Precision::bf16) {
      std::vector<double> own = x;
      for (double& v : expected) v = as_bf16(v);
      for (double& v : own) v = as_bf16(v);
      const long at = first_difference(own, expected);
      return at < 0 ? "" : format("number {} is {}, expected {}", at, own[std::size_t(at)], expected[std::size_t(at)]);
    }
    const long at = first_difference(x, expected);
    return at < 0 ? "" : format("number {} of {} is {}, expected {}", at, x.size(), x[std::size_t(at)], expected[std::size_t(at)]);
  }
  if (output.match == Match::each) {
    for (std::size_t i = 0; i < x.size(); ++i)
      if (!(std::abs(x[i] - expected[i]) <= output.bound * std::abs(expected[i])))
        return format("number {} is {}, expected {}: off by {}", i, x[i], expected[i], std::abs(x[i] - expected[i]) / std::abs(expected[i]));
    return "";
  }
  double error = 0, norm = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    error += (x[i] - expected[i]) * (x[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  if (norm == 0) return "is zero throughout, which proves nothing";
  const double share = error / norm / bound_of(precision);
  if (share > worst_[std::size_t(precision)]) worst_[std::size_t(precision)] = share, worst_name_[std::size_t(precision)] = path;
  if (verbose_) std::printf("        %-5s %.1e of the bound  %s\n", name_of(precision), share, path.c_str());
  return share <= 1 ? "" : format("error {}, bound {}", error / norm, bound_of(precision));
}

void Judge::group(const char* name, void (*run)(Judge&)) {
  const double begin = seconds();
  const long comparisons = comparisons_;
  const std::size_t cases = cases_.size();
  run(*this);
  Tally& tally = groups_[name];
  tally.cases += cases_.size() - cases, tally.comparisons += comparisons_ - comparisons, tally.seconds += seconds() - begin;
}

void Judge::write(const std::string& path) const {
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  bool good = file != nullptr && std::fwrite(kMagic, sizeof kMagic, 1, file) == 1;
  const auto number = [&](std::uint64_t n) { good = good && std::fwrite(&n, sizeof n, 1, file) == 1; };
  for (const auto& [name, x] : record_) {
    number(name.size());
    good = good && std::fwrite(name.data(), 1, name.size(), file) == name.size();
    std::vector<float> half;  // most numbers are floats, and take half the room
    for (const double v : x) half.push_back(float(v));
    const bool floats = std::equal(half.begin(), half.end(), x.begin());
    number(x.size() * 2 + (floats ? 1 : 0));
    good = good && (floats ? std::fwrite(half.data(), sizeof(float), x.size(), file)
                           : std::fwrite(x.data(), sizeof(double), x.size(), file)) == x.size();
  }
  if (file == nullptr || std::fclose(file) != 0 || !good) espalier::fail(Errc::failed, "{}: cannot be written", path);
}

void Judge::read(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) espalier::fail(Errc::failed, "{}: cannot be read; make it with parity-cpu --record", path);
  char magic[sizeof kMagic];
  bool good = std::fread(magic, sizeof magic, 1, file) == 1 && std::memcmp(magic, kMagic, sizeof kMagic) == 0;
  for (std::uint64_t n; good && std::fread(&n, sizeof n, 1, file) == 1;) {
    std::string name(n, ' ');
    good = std::fread(name.data(), 1, n, file) == n && std::fread(&n, sizeof n, 1, file) == 1;
    std::vector<double>& x = record_[name];
    std::vector<float> half(good && n % 2 == 1 ? n / 2 : 0);
    x.resize(good && n % 2 == 0 ? n / 2 : 0);
    good = good && std::fread(half.data(), sizeof(float), half.size(), file) == half.size() &&
           std::fread(x.data(), sizeof(double), x.size(), file) == x.size();
    if (!half.empty()) x.assign(half.begin(), half.end());
  }
  std::fclose(file);
  if (!good) espalier::fail(Errc::failed, "{}: not a record, or half of one", path);
}

int run_all(int count, const char* const* words) {
  Judge judge;
  std::string record, compare;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i], value = i + 1 < count ? words[i + 1] : "";
    if (word == "--record") record = value, ++i;
    else if (word == "--compare") compare = value, ++i;
    else if (word == "--only") judge.only_ = value, ++i;
    else if (word == "--precision") judge.precision_ = value, ++i;
    else if (word == "--members") judge.settings.members = std::atoi(value.c_str()), ++i;
    else if (word == "--guarded") judge.settings.guarded = true;
    else if (word == "--verbose") judge.verbose_ = true;
    else record.clear(), compare.clear(), i = count;
  }
  if (record.empty() == compare.empty()) {
    std::fprintf(stderr, "usage: %s --record FILE | --compare FILE  [--guarded] [--members N] [--precision fp64|fp32|bf16] [--only NAME] [--verbose]\n", words[0]);
    return 2;
  }
  try {
    judge.recording_ = !record.empty();
    if (!judge.recording_) judge.read(compare);
    for (const auto& [name, run] : Part::all())
      if (judge.precision_.empty() || judge.precision_ == name_of(name.second)) run(judge);
    for (const auto& [name, tally] : judge.groups_)
      std::printf("%-10s %4zu cases  %6ld comparisons  %5.1f s\n", name.c_str(), tally.cases, tally.comparisons, tally.seconds);
    for (const auto& [name, x] : judge.record_)  // nothing drops out of a device's list in silence
      if (judge.only_.empty() && judge.precision_.empty() && !judge.met_.contains(name)) ++judge.failures_, std::printf("FAILED  %s was not computed\n", name.c_str());
    if (judge.recording_) judge.write(record);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  for (const Precision p : {Precision::fp64, Precision::fp32, Precision::bf16})
    std::printf("%s: the largest error is %.2g of its bound (%s)\n", name_of(p), judge.worst_[std::size_t(p)],
                judge.worst_name_[std::size_t(p)].c_str());
  std::printf("%zu cases, %ld comparisons, %ld failures\n", judge.cases_.size(), judge.comparisons_, judge.failures_);
  return judge.failures_ == 0 && !judge.cases_.empty() ? 0 : 1;
}

}  // namespace espalier::test::parity
