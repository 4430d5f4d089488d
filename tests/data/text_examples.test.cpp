// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <espalier/data/masked_examples.hpp>
#include <espalier/data/read_texts.hpp>
#include <espalier/data/tokenizer/tokenizer.hpp>
#include <espalier/io/file_write.hpp>
#include <espalier/io/json_file.hpp>
#include <set>

#include "temporary_directory.hpp"

using namespace espalier;

namespace {

const std::string data = ESPALIER_TEST_DATA;
Tokenizer& words() {
  static Tokenizer tokenizer = Tokenizer::from(data + "/examples/tokenizer.json");
  return tokenizer;
}
LabelRules classes(Index count) { return {{count, Problem::one_label}, {}}; }
TextSet pairs(Index length = 16) {
  TextOptions options;
  options.length = length, options.labels = classes(3);
  return read_texts(data + "/examples/pairs.jsonl", words(), options);
}
std::string written(const test::TemporaryDirectory& folder, const std::string& text) {
  const std::string path = folder / "data.jsonl";
  io::write_file_atomically(path, std::string_view(text));
  return path;
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
std::string refused_lines(const std::string& text, TextOptions options = {}) {
  const test::TemporaryDirectory folder;
  const std::string path = written(folder, text);
  return refusal([&] { TextExamples(read_texts(path, words(), options)); });
}
void expect(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("Texts and pairs are cut where tokenizers cuts them, with the same special tokens and types") {
  const json::Value golden = json::read_file(data + "/examples/cut.json");
  const test::TemporaryDirectory folder;
  std::string singles, two;
  for (const auto& s : golden.at("singles").elements())
    singles += json::Value::object({{"text", s}, {"label", 0}}).dump() + "\n";
  for (const auto& p : golden.at("pairs").elements())
    two += json::Value::object({{"premise", p.at(0)}, {"hypothesis", p.at(1)}, {"label", 1}}).dump() + "\n";
  const auto integers = [](const json::Value& list) {
    std::vector<int> x;
    for (const json::Value& i : list.elements()) x.push_back(int(i.as_index()));
    return x;
  };
  for (const std::string name : {"bert_uncased", "roberta"}) {
    Tokenizer tokenizer = Tokenizer::from(data + "/tokenizers/" + name + ".json");
    Index row = 0;
    int different = 0;
    for (const json::Value& longest : golden.at("lengths").elements()) {
      const Index length = longest.as_index();
      TextOptions options;
      options.length = length, options.labels = classes(2);
      for (const std::string& text : {singles, two}) {
        const TextSet set = read_texts(written(folder, text), tokenizer, options);
        for (Index i = 0; i < set.size(); ++i, ++row) {
          CAPTURE(name);
          CAPTURE(length);
          CAPTURE(i);
          const Index first = set.begin_of(i), last = set.ends[std::size_t(i)];
          const std::vector<int> ids(set.ids.begin() + first, set.ids.begin() + last), types(set.types.begin() + first, set.types.begin() + last);
          CHECK(ids == integers(golden.at(name).at(row).at(0)));
          CHECK(types == integers(golden.at(name).at(row).at(1)));
          different += last - first > 3;
        }
        if (length == 7) CHECK(set.truncated > 2);
      }
    }
    CHECK(row == golden.at(name).size());
    CHECK(different > 20);
  }
}

TEST_CASE("A batch is as long as its longest example, and padding is neither seen nor of any type") {
  const TextSet set = pairs();
  TextSet::Rows rows;
  const EpochOrder::Drawn drawn[] = {{0, 0}, {5, 0}, {1, 0}};
  set.collect(drawn, 0, rows);
  CHECK(rows.shape.batch == 3);
  CHECK(rows.shape.seq == std::max({set.length_of(0), set.length_of(5), set.length_of(1)}));
  for (Index b = 0; b < 3; ++b)
    for (Index t = 0; t < rows.shape.seq; ++t) {
      const auto at = std::size_t(b * rows.shape.seq + t);
      const bool text = t < set.length_of(drawn[b].which);
      CHECK(rows.visible[at] == int(text));
      CHECK(rows.tokens[at] == (text ? set.ids[std::size_t(set.begin_of(drawn[b].which) + t)] : 0));
      if (!text) CHECK(rows.segments[at] == 0);
    }
  CHECK(rows.classes == std::vector<int>{set.labels.classes[0], set.labels.classes[5], set.labels.classes[1]});
  set.collect(drawn, 20, rows);
  CHECK(rows.shape.seq == 20);
  expect(refusal([&] { set.collect(drawn, 4, rows); }), "in a batch of length 4");
}

TEST_CASE("A step has the same batches whether one comes to it or jumps to it, also of hidden tokens") {
  const TextExamples labelled(pairs());
  const MaskedExamples hidden(read_masked_texts(data + "/examples/scores.jsonl", words(), TextOptions{.length = 12}, 0.3, 5));
  const auto check = [](const auto& examples) {
    const ExampleBatchOptions options{.size = 3, .steps = 20, .seed = 7, .accumulate = 2};
    auto walked = examples.batches(options), jumped = examples.batches(options);
    Index n = 0;
    std::set<std::vector<int>> different;
    for (const TextBatch batch : walked) {
      if (n % 2 == 0) jumped.prepare(19), jumped.prepare(n / 2);
      const TextBatch other = jumped[n % 2];
      CHECK(std::equal(batch.tokens.begin(), batch.tokens.end(), other.tokens.begin(), other.tokens.end()));
      CHECK(std::equal(batch.labels.classes.begin(), batch.labels.classes.end(), other.labels.classes.begin(), other.labels.classes.end()));
      CHECK((batch.weight == other.weight && Index(batch.micro) == n % 2));
      CHECK(batch.weight == 1 / double(walked.counted()));
      different.insert({batch.tokens.begin(), batch.tokens.end()});
      ++n;
    }
    CHECK(n == 40);
    CHECK(different.size() > 35);
    CHECK(walked.epochs(4) == doctest::Approx(24.0 / double(examples.size())));
  };
  check(labelled), check(hidden);
}

TEST_CASE("Of the tokens 15 % are hidden: 8 in 10 by [MASK], 1 by any, 1 by itself; special ones and padding never, and each epoch anew") {
  const test::TemporaryDirectory folder;
  std::string text;
  for (int i = 0; i < 4000; ++i) text += i % 3 == 0 ? "tree falls " : i % 3 == 1 ? "old root , " : "green leaf in wind . ";
  io::write_file_atomically(folder / "text.txt", std::string_view(text));
  const MaskedSet set = read_masked_texts(folder / "text.txt", words(), TextOptions{.length = 32});
  CHECK(set.text.longest() == 32);
  std::vector<EpochOrder::Drawn> drawn, again;
  for (Index i = 0; i < set.size(); ++i) drawn.push_back({i, 0}), again.push_back({i, 1});
  MaskedSet::Rows rows, plain, other;
  set.text.collect(drawn, 0, plain), set.collect(drawn, 0, rows), set.collect(again, 0, other);
  const Index ordinary = set.text.ends.back() - 2 * set.size();  // each piece has [CLS] and [SEP]
  double hidden = 0, masked = 0, same = 0, replaced = 0, both = 0;
  for (std::size_t i = 0; i < rows.tokens.size(); ++i) {
    both += rows.classes[i] != kIgnore && other.classes[i] != kIgnore;
    if (rows.classes[i] == kIgnore) {
      REQUIRE(rows.tokens[i] == plain.tokens[i]);
      continue;
    }
    REQUIRE(rows.classes[i] == plain.tokens[i]);
    REQUIRE((plain.tokens[i] > 4 && rows.visible[i] == 1));
    hidden += 1, masked += rows.tokens[i] == 4, same += rows.tokens[i] == plain.tokens[i];
    replaced += rows.tokens[i] != 4 && rows.tokens[i] != plain.tokens[i];
  }
  const double n = double(ordinary);
  CHECK(n > 10000);
  CHECK(hidden / n == doctest::Approx(0.15).epsilon(0.07));
  CHECK(masked / hidden == doctest::Approx(0.8 + 0.1 / 40).epsilon(0.05));
  CHECK(same / hidden == doctest::Approx(0.1 + 0.1 / 40).epsilon(0.25));
  CHECK(replaced / hidden == doctest::Approx(0.1 * 38 / 40).epsilon(0.25));
  CHECK(both / hidden == doctest::Approx(0.15).epsilon(0.3));  // epochs know nothing of each other
  // What is hidden of an example does not depend on the others in the batch.
  MaskedSet::Rows alone;
  const EpochOrder::Drawn third[] = {{2, 0}};
  set.collect(third, 0, alone);
  CHECK(std::equal(alone.tokens.begin(), alone.tokens.end(), rows.tokens.begin() + 2 * rows.shape.seq));
}

TEST_CASE("A split holds a share of the examples back at random, and loses none") {
  const TextExamples all(pairs());
  const auto [train, held] = all.split(0.25);
  CHECK(train.size() == 18);
  CHECK(held.size() == 6);
  std::multiset<std::vector<int>> parts, whole;
  const auto add = [](const TextSet& s, auto& to) {
    for (Index i = 0; i < s.size(); ++i) {
      std::vector<int> example(s.ids.begin() + s.begin_of(i), s.ids.begin() + s.ends[std::size_t(i)]);
      example.push_back(s.labels.classes[std::size_t(i)]);
      to.insert(example);
    }
  };
  add(train.set(), parts), add(held.set(), parts), add(all.set(), whole);
  CHECK(parts == whole);
  CHECK(train.hash() != all.hash());
}

TEST_CASE("Labels are numbers, names, lists or values, as the task has them") {
  const test::TemporaryDirectory folder;
  TextOptions options;
  options.labels = {{3, Problem::one_label}, {{"no", 0}, {"maybe", 1}, {"yes", 2}}};
  CHECK(read_texts(written(folder, "{\"text\":\"tree\",\"label\":\"yes\"}\n\n{\"text\":\"a\",\"label\":1}\r\n"), words(), options).labels.classes ==
        std::vector<int>{2, 1});
  options.labels = {{2, Problem::several_labels}, {}};
  CHECK(read_texts(written(folder, "{\"text\":\"tree\",\"labels\":[1, 0]}\n"), words(), options).labels.values == std::vector<double>{1, 0});
  options.labels = {{1, Problem::automatic}, {}};
  CHECK(read_texts(written(folder, "{\"text\":\"tree\",\"label\":-0.5}\n"), words(), options).labels.values == std::vector<double>{-0.5});
  options.fields = {"a", "b", "c"};
  CHECK(read_texts(written(folder, "{\"text\":\"x\",\"a\":\"tree\",\"b\":\"leaf\",\"c\":3}\n"), words(), options).length_of(0) == 5);

  CHECK(labels_in(written(folder, "{\"label\":0}\n{\"label\":4}\n"), Problem::one_label).options.count == 5);
  const auto named = labels_in(written(folder, "{\"label\":\"b\"}\n{\"label\":\"a\"}\n{\"label\":\"b\"}\n"), Problem::one_label);
  CHECK(named.options.count == 2);
  CHECK((named.names[0] == std::pair<std::string, int>{"a", 0} && named.names[1] == std::pair<std::string, int>{"b", 1}));
  CHECK(labels_in(written(folder, "{\"label\":[0, 1, 1]}\n"), Problem::several_labels).options.count == 3);
  expect(refusal([&] { labels_in(written(folder, "{\"label\":0}\n{\"label\":\"a\"}\n"), Problem::one_label); }), "data.jsonl:2: label is a number in some");
  expect(refusal([&] { labels_in(written(folder, "\n"), Problem::one_label); }), "there is no example");
}

TEST_CASE("Every malformed line is refused by what is wrong with it, and where") {
  TextOptions three;
  three.labels = classes(3);
  expect(refused_lines("", three), "there is no example in it");
  expect(refused_lines("{\"text\": \"a\", \"label\": 0}\n{\"text\": \"a\"}\n", three), "data.jsonl:2: 'label' is missing");
  expect(refused_lines("{\"text\": \"a\"}\n", three), "data.jsonl:1: there is no \"label\"");
  expect(refused_lines("{\"text\": \"a\", \"premise\": \"b\", \"hypothesis\": \"c\", \"label\": 0}\n", three),
         "there are texts under premise and under text\n  hint: rename those that are meant to text, or text and text_pair");
  expect(refused_lines("{\"body\": \"a\", \"label\": 0}\n", three), "there is no text in it; these fields are known: sentence1, sentence2;");
  expect(refused_lines("{\"text\": \"a\", \"sentence\": \"b\", \"label\": 0}\n", three), "texts under text and under sentence");
  expect(refused_lines("{\"text\": 7, \"label\": 0}\n", three), "'text' is an integer, expected a string");
  expect(refused_lines("{\"text\": \"a\", \"label\": 3}\n", three), "label 3 is none of the 3 classes, which are 0 to 2");
  expect(refused_lines("{\"text\": \"a\", \"label\": -1}\n", three), "-1 stands for no label in test sets");
  expect(refused_lines("{\"text\": \"a\", \"label\": 1.0}\n", three), "'label' is a number, expected an integer");
  expect(refused_lines("{\"text\": \"a\", \"label\": null}\n", three), "'label' is null");
  expect(refused_lines("{\"text\": \"a\", \"label\": \"good\"}\n", three), "label 'good' is none of label2id, which has: nothing");
  expect(refused_lines("[1]\n", three), "data.jsonl:1: expected an object");
  expect(refused_lines("{\"text\": \"a\", \"label\": NaN}\n", three), "data.jsonl:1");
  expect(refused_lines("{\"text\": \"a\", \"label\": 0}\n{\"sentence\": \"a\", \"label\": 0}\n", three), "data.jsonl:2: 'text' is missing");
  TextOptions number;
  number.labels = {{1, Problem::regression}, {}};
  expect(refused_lines("{\"text\": \"a\", \"label\": \"1\"}\n", number), "'label' is a string, expected a number");
  expect(refused_lines("{\"text\": \"a\", \"label\": 1e999}\n", number), "data.jsonl:1");
  TextOptions several;
  several.labels = {{2, Problem::several_labels}, {}};
  expect(refused_lines("{\"text\": \"a\", \"label\": [1]}\n", several), "label has 1 numbers, expected 2");
  expect(refused_lines("{\"text\": \"a\", \"label\": [1, 0.5]}\n", several), "label 0.5 is neither 0 nor 1");
  three.length = 2;
  expect(refused_lines("{\"text\": \"a\", \"label\": 0}\n", three), "2 tokens an example, and 2 of them are special");
  three.fields.second = "b";
  expect(refused_lines("{\"text\": \"a\", \"label\": 0}\n", three), "a field for the second text is named, b, and none for the first");

  const TextSet set = pairs();
  struct {
    Index vocab = 40, segments = 2;
    LabelOptions labels = {3, Problem::automatic};
  } config;
  set.check(config);
  config.segments = 1;
  expect(refusal([&] { set.check(config); }), "token type 1 in example 0, and the model has 1");
  config.segments = 2, config.vocab = 20;
  expect(refusal([&] { set.check(config); }), "outside the model's vocabulary of 20");
  config.vocab = 40, config.labels.count = 2;
  expect(refusal([&] { set.check(config); }), "read for classification with 3 labels, and the model's head is for classification with 2");
  expect(refusal([&] { TextExamples(pairs()).batches({.size = 0}); }), "batches: size 0");
  expect(refusal([&] { TextExamples(pairs()).split(1); }), "a share of 1 of 24 examples");

  Tokenizer gpt2 = Tokenizer::from(data + "/tokenizers/gpt2.json");
  expect(refusal([&] { read_masked_texts(data + "/examples/scores.jsonl", gpt2, TextOptions{}); }), "neither [MASK] nor <mask>");
}
