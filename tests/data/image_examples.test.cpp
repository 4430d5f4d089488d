// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <cstring>
#include <espalier/data/image_examples.hpp>
#include <espalier/io/file_write.hpp>
#include <limits>

#include "temporary_directory.hpp"

using namespace espalier;

namespace {

const std::string folder_of_examples = std::string(ESPALIER_TEST_DATA) + "/examples";
ImageOptions three() {
  return {read_image_scale(folder_of_examples), {{3, Problem::one_label}, {}}};
}
/// As numpy.save writes it.
template <class T>
std::string npy(const test::TemporaryDirectory& folder, const std::string& name, const std::string& descr, const std::string& shape,
                const std::vector<T>& numbers) {
  std::string header = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.resize((header.size() + 10 + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  header += '\n';
  std::string bytes = std::string("\x93NUMPY\x01\x00", 8) + char(header.size() & 255) + char(header.size() >> 8) + header;
  bytes.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(T));
  io::write_file_atomically(folder / name, std::string_view(bytes));
  return folder / name;
}
template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was refused";
}
void expect(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("Bytes are scaled channel by channel as preprocessor_config.json says; float32 is taken as it is") {
  const ImageExamples images(read_images(folder_of_examples + "/images.npy", folder_of_examples + "/images.labels.npy", three()));
  CHECK(images.size() == 12);
  auto batches = images.batches({.size = 5, .shuffle = false});
  batches.prepare(0);
  const ImageBatch batch = batches[0];
  const ImageSet& set = images.set();
  REQUIRE(batch.pixels.size() == 5 * 3 * 8 * 8);
  const double mean[] = {0.4, 0.5, 0.6}, deviation[] = {0.2, 0.25, 0.3};
  for (std::size_t i = 0; i < batch.pixels.size(); ++i) {
    const auto channel = i / 64 % 3;
    REQUIRE(batch.pixels[i] == float((set.bytes[i] * (1.0 / 255) - mean[channel]) / deviation[channel]));
  }
  CHECK(std::equal(batch.labels.classes.begin(), batch.labels.classes.end(), set.labels.classes.begin()));
  CHECK(batch.weight == 0.2);

  const test::TemporaryDirectory folder;
  const std::string numbers = npy<float>(folder, "x.npy", "<f4", "2, 1, 1, 2", {0.5f, -3.0f, 7.0f, 0.25f}), labels = npy<float>(folder, "y.npy", "<f4", "2,", {0.5f, -1.0f});
  const ImageSet plain = read_images(numbers, labels, {{}, {{1, Problem::regression}, {}}});
  ImageSet::Rows rows;
  const EpochOrder::Drawn drawn[] = {{1, 0}, {0, 0}};
  plain.collect(drawn, 0, rows);
  CHECK(rows.pixels == std::vector<float>{7.0f, 0.25f, 0.5f, -3.0f});
  CHECK(rows.values == std::vector<double>{-1, 0.5});

  const ImageScale usual = read_image_scale(folder / "");  // the processor of ViT by default
  CHECK(usual(255, 2) == 1);
  CHECK(usual(0, 0) == -1);
}

TEST_CASE("A part has its own images and labels, and another hash") {
  const ImageExamples images(read_images(folder_of_examples + "/images.npy", folder_of_examples + "/images.labels.npy", three()));
  const auto [train, held] = images.split(0.25);
  CHECK((train.size() == 9 && held.size() == 3));
  Index found = 0;
  for (Index h = 0; h < 3; ++h)
    for (Index i = 0; i < 12; ++i)
      if (std::equal(held.set().bytes.begin() + h * 192, held.set().bytes.begin() + (h + 1) * 192, images.set().bytes.begin() + i * 192)) {
        ++found;
        CHECK(held.set().labels.classes[std::size_t(h)] == images.set().labels.classes[std::size_t(i)]);
      }
  CHECK(found == 3);
  CHECK(train.hash() != images.hash());
}

TEST_CASE("Every malformed file is refused by what is wrong with it") {
  const test::TemporaryDirectory f;
  const auto images = npy<std::uint8_t>(f, "x.npy", "|u1", "2, 3, 1, 1", {1, 2, 3, 4, 5, 6});
  const auto labels = npy<std::int64_t>(f, "y.npy", "<i8", "2,", {0, 2});
  const auto refused = [&](const std::string& x, const std::string& y, ImageOptions o = three()) { return refusal([&] { ImageExamples(read_images(x, y, o)); }); };
  CHECK(refused(images, labels) == "nothing was refused");
  expect(refused(npy<std::uint8_t>(f, "a.npy", "|u1", "3, 1, 2", {1, 2, 3, 4, 5, 6}), labels), "an array of shape (3, 1, 2), expected (images, channels, height, width): one image is array[None]");
  expect(refused(npy<std::uint8_t>(f, "a.npy", "|u1", "0, 3, 1, 1", {}), labels), "there is no image in it");
  expect(refused(npy<double>(f, "a.npy", "<f8", "1, 1, 1, 1", {1}), labels), "images of type <f8");
  expect(refused(npy<float>(f, "a.npy", "<f4", "2, 1, 1, 2", {0, 1, std::numeric_limits<float>::quiet_NaN(), 2}), labels), "image 1 holds nan");
  expect(refused(images, npy<std::int64_t>(f, "b.npy", "<i8", "3,", {0, 1, 2})), "labels of shape (3) for 2 images");
  expect(refused(images, npy<std::int64_t>(f, "b.npy", "<i8", "2, 1", {0, 1})), "labels of shape (2, 1) for 2 images");
  expect(refused(images, npy<std::int64_t>(f, "b.npy", "<i8", "2,", {0, 3})), "at position 1: label 3 is none of the 3 classes");
  expect(refused(images, npy<float>(f, "b.npy", "<f4", "2,", {0, 1})), "labels of type <f4, expected whole numbers");
  const ImageOptions number{{}, {{1, Problem::regression}, {}}};
  expect(refused(images, npy<float>(f, "b.npy", "<f4", "2,", {0, std::numeric_limits<float>::infinity()}), number), "at position 1: label inf is not finite");
  ImageOptions two = three();
  two.scale.mean = {0.1, 0.2};
  expect(refused(images, labels, two), "image_mean and image_std have 2 numbers for 3 channels");
  expect(refused(images, f / "nowhere.npy"), "nowhere.npy");
  io::write_file_atomically(f / "preprocessor_config.json", std::string_view("{\"image_std\": [0.5, 0, 1]}"));
  expect(refused(images, labels, {read_image_scale(f / ""), {{3, Problem::one_label}, {}}}), "image_std holds 0");
  io::write_file_atomically(f / "preprocessor_config.json", std::string_view("{\"image_mean\": \"grey\"}"));
  expect(refusal([&] { read_image_scale(f / ""); }), "preprocessor_config.json: 'image_mean' is a string, expected a number");

  struct {
    struct {
      Index channels = 3, height = 2, width = 1;
    } grid;
    LabelOptions labels = {3, Problem::automatic};
  } config;
  expect(refusal([&] { read_images(images, labels, three()).check(config); }), "images of 1 x 1 with 3 channels; this model wants 2 x 1 with 3");
}
