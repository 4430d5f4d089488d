// SPDX-License-Identifier: MIT
#include "report.hpp"

#include <espalier/core/config.hpp>

#include "html.hpp"
#include "report_style.hpp"

namespace espalier::tool {
namespace {

std::string table_html(const Table& table) {
  std::string out = "<table>\n<tr>";
  for (const std::string& cell : table.head) out += "<th>" + escaped(cell) + "</th>";
  out += "</tr>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (const std::string& cell : row) out += "<td>" + escaped(cell) + "</td>";
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

std::string list_html(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string out = "<dl>\n";
  for (const auto& [name, value] : pairs)
    out += "<div><dt>" + escaped(name) + "</dt><dd>" + escaped(value) + "</dd></div>\n";
  return out + "</dl>\n";
}

}  // namespace

std::string Report::html() const {
  std::string out =
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>" +
      escaped(title) + "</title>\n<style>" + report_style + "</style>\n</head>\n<body>\n<main>\n<header>" +
      report_mark + "<div><h1>" + escaped(title) + "</h1><p>" + escaped(summary) + "</p></div></header>\n";
  if (!tiles.empty()) {
    out += "<section class=\"tiles\">\n";
    for (const Tile& t : tiles) {
      out += "<div class=\"tile" + std::string(t.good ? " good" : "") + "\"><div class=\"label\">" + escaped(t.label) +
             "</div><div class=\"value\">" + escaped(t.value) + "</div><div class=\"note\">" + escaped(t.note) +
             "</div></div>\n";
    }
    out += "</section>\n";
  }
  std::string figures;
  for (const Chart& c : charts) figures += c.html();
  if (!figures.empty()) out += "<h2>The run</h2>\n<section class=\"charts\">\n" + figures + "</section>\n";
  if (!layers.empty()) {
    out += "<h2>What each layer kept</h2>\n<section class=\"card\">\n" + keep_picture(layers) + "</section>\n";
  }
  if (!stretches.rows.empty()) {
    out += "<h2>As units left</h2>\n<section class=\"card\">\n" + table_html(stretches) +
           "<ul class=\"notes\">\n<li>Masked units leave memory while the run goes on. Memory: weights, adapters with their "
           "gradients and moments, and scratch memory. Step time: the median of the steps until the next row.</li>\n"
           "</ul>\n</section>\n";
  }
  if (!comparison.rows.empty()) {
    out += "<h2>Before and after</h2>\n<section class=\"card\">\n" + table_html(comparison);
    if (!paired.rows.empty()) out += table_html(paired);
    if (!notes.empty()) {
      out += "<ul class=\"notes\">\n";
      for (const std::string& n : notes) out += "<li>" + escaped(n) + "</li>\n";
      out += "</ul>\n";
    }
    out += "</section>\n";
  }
  out += "<h2>The command</h2>\n<section class=\"card\"><pre>" + escaped(command) + "</pre></section>\n";
  if (!settings.empty()) out += "<h2>Settings</h2>\n<section class=\"card\">" + list_html(settings) + "</section>\n";
  if (!provenance.empty())
    out += "<h2>Where it was made</h2>\n<section class=\"card\">" + list_html(provenance) + "</section>\n";
  return out + "<footer>espalier " ESPALIER_VERSION_STRING "</footer>\n</main>\n</body>\n</html>\n";
}

}  // namespace espalier::tool
