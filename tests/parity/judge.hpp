// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "parity/outputs.hpp"

namespace espalier::test::parity {

/// What the command line says of the device.
struct Settings {
  bool guarded = false;  ///< the host cannot touch the device's memory
  int members = 4;       ///< of a team
};

/// Holds what cases compute against a record of the reference, or makes that record.
class Judge {
 public:
  Settings settings;

  /// Whether a case of this name is to run.
  bool wanted(const std::string& name) const { return only_.empty() || name.find(only_) != std::string::npos; }
  /// Three runs of a case on one device: bits agree with each other, numbers with the reference.
  void settle(Precision precision, const std::string& name, const std::array<Outputs, 3>& runs);
  void fail(Precision precision, const std::string& name, const std::string& why);
  /// An array of the record, or of this run where it makes the record.
  const std::vector<double>& recorded(Precision precision, const std::string& name) const;
  /// The array that others of this name are held against; null where this run makes it.
  const std::vector<double>* reference(Precision precision, const std::string& name) const;

  /// Runs cases that belong together, and says how it went.
  void group(const char* name, void (*run)(Judge&));

  /// Runs all parts as the command line says; the exit status of the program.
  friend int run_all(int count, const char* const* words);

 private:
  std::string mismatch(Precision precision, const std::string& path, const Output& output);
  void read(const std::string& path);
  void write(const std::string& path) const;

  bool recording_ = false, verbose_ = false;
  std::string only_, precision_;  // empty: all
  std::map<std::string, std::vector<double>> record_;
  std::set<std::string> met_, cases_;
  long comparisons_ = 0, failures_ = 0;
  struct Tally {
    std::size_t cases = 0;
    long comparisons = 0;
    double seconds = 0;
  };
  std::map<std::string, Tally> groups_;
  std::array<double, 3> worst_{};  // the largest error of each precision, as a share of its bound
  std::array<std::string, 3> worst_name_;
};

int run_all(int count, const char* const* words);

/// Cases of one precision that are compiled together. Parts are known to the program by being there; of each, fp64 comes
/// first.
struct Part {
  using Run = void (*)(Judge&);
  Part(std::string name, Precision precision, Run run) { all().emplace(std::pair(std::move(name), precision), run); }
  static std::map<std::pair<std::string, Precision>, Run>& all() {
    static std::map<std::pair<std::string, Precision>, Run> parts;
    return parts;
  }
};

}  // namespace espalier::test::parity
