// SPDX-License-Identifier: MIT
#pragma once

namespace espalier::tool {

inline constexpr const char* report_style = R"css(
:root{color-scheme:light dark;--page:#f6f5f1;--card:#fffefb;--ink:#20261f;--soft:#5d665a;--faint:#8b9387;--rule:#e2e1d8;--grid:#ecebe3;
--leaf:#2f7d4f;--leaf-soft:#2f7d4f22;--bark:#b4622d;--bed:#e9e8de;--gone:#c9c8bc;--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media(prefers-color-scheme:dark){:root{--page:#131613;--card:#1b1f1b;--ink:#e7ebe3;--soft:#a4ada0;--faint:#757f72;--rule:#2c322c;--grid:#252b25;
--leaf:#6cc08b;--leaf-soft:#6cc08b1f;--bark:#e39a63;--bed:#2a302a;--gone:#4a5249}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1080px;margin:0 auto;padding:44px 24px 64px}
header{display:flex;gap:18px;align-items:flex-start;margin-bottom:26px}
header svg{flex:none;margin-top:4px}
h1{font-size:27px;line-height:1.2;letter-spacing:-.015em;margin:0 0 6px}
header p{margin:0;color:var(--soft);max-width:72ch}
h2{font-size:13px;letter-spacing:.06em;text-transform:uppercase;color:var(--soft);margin:40px 0 12px;font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:14px}
.tile,.card,.chart{background:var(--card);border:1px solid var(--rule);border-radius:12px}
.tile{padding:16px 18px 14px}
.tile .label{color:var(--soft);font-size:13px}
.tile .value{font-size:30px;font-weight:640;letter-spacing:-.02em;line-height:1.25}
.tile .note{color:var(--soft);font-size:13px}
.tile.good .value{color:var(--leaf)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(400px,1fr));gap:14px}
.chart{margin:0;padding:14px 14px 6px}
.chart svg{display:block;width:100%;height:auto}
figcaption{display:flex;flex-wrap:wrap;gap:4px 16px;align-items:center;font-size:13px;color:var(--soft);padding:0 4px 6px}
figcaption b{color:var(--ink);font-size:14px;margin-right:auto}
.key::before{content:"";display:inline-block;width:14px;height:3px;border-radius:2px;margin:0 6px 3px 0;background:var(--c)}
.main{--c:var(--leaf)}.second{--c:var(--bark)}.faint{--c:var(--faint)}
.c0{--c:var(--leaf)}.c1{--c:var(--bark)}.c2{--c:#3b76c4}.c3{--c:#a650a0}.c4{--c:#c0a021}.c5{--c:#2a9d9d}.c6{--c:#c2455c}.c7{--c:#6b5bd2}.c8{--c:#7a8b2f}.c9{--c:var(--faint)}
.key.shade::before{height:10px;margin-bottom:-1px;background:var(--leaf-soft)}
.grid{stroke:var(--grid)}.tick{fill:var(--faint);font-size:11.5px}
.line{fill:none;stroke:var(--c);stroke-width:2.2;stroke-linejoin:round;stroke-linecap:round}
.line.faint{stroke-width:1.4}
.area{fill:var(--c);opacity:.14;stroke:none}
.dot{fill:var(--card);stroke:var(--c);stroke-width:2}
rect.shade{fill:var(--leaf-soft)}
.card{padding:18px 20px;overflow-x:auto}
.keep .row{display:grid;grid-template-columns:64px var(--heads) 62px minmax(160px,1fr) 92px;gap:16px;align-items:center;padding:8px 0;border-top:1px solid var(--grid)}
.keep .row.head{border:0;color:var(--faint);font-size:12.5px;padding:0 0 6px}
.keep .layer{color:var(--soft);font-size:13px;white-space:nowrap}
.keep .count{font-size:13px;white-space:nowrap}.keep .count i{font-style:normal;color:var(--faint)}
.heads{display:block}.channels{display:block;width:100%;height:22px;border-radius:4px}
.kept{fill:var(--leaf)}.gone{fill:none;stroke:var(--gone);stroke-width:1.5}.bed{fill:var(--bed)}
.legend{display:flex;align-items:center;gap:7px;margin-top:14px;padding-top:12px;border-top:1px solid var(--grid);color:var(--soft);font-size:13px}
.legend i{width:13px;height:13px;border-radius:3px}.legend i+i,.legend i.gone{margin-left:12px}
.legend i.kept{background:var(--leaf)}.legend i.gone{border:1.5px solid var(--gone)}
table{border-collapse:collapse;width:100%}
th{font-weight:600;color:var(--soft);font-size:13px;text-align:right;padding:4px 0 8px 24px;white-space:nowrap}
td{text-align:right;padding:8px 0 8px 24px;border-top:1px solid var(--grid);white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}
td:last-child{color:var(--soft)}
.notes{color:var(--soft);font-size:13px;margin:12px 0 0;padding-left:18px}
pre{margin:0;font:13px/1.6 var(--mono);white-space:pre-wrap;overflow-wrap:anywhere}
pre::before{content:"$ ";color:var(--faint)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:0 32px;margin:0}
dl div{display:flex;justify-content:space-between;gap:16px;border-top:1px solid var(--grid);padding:5px 0;font-size:13.5px}
dt{color:var(--soft)}dd{margin:0;text-align:right;overflow-wrap:anywhere;font-family:var(--mono);font-size:12.5px}
footer{color:var(--faint);font-size:13px;margin-top:36px}
@media(max-width:760px){.charts{grid-template-columns:1fr}.keep .row{grid-template-columns:58px auto 50px}.keep .channels,.keep .row.head span:nth-child(4){grid-column:1/3}}
@media print{body{background:#fff}.tile,.card,.chart{break-inside:avoid}}
)css";

/// A pruned tree on a trellis.
inline constexpr const char* report_mark =
    R"svg(<svg width="46" height="46" viewBox="0 0 46 46" fill="none" stroke-linecap="round" aria-hidden="true"><g stroke="var(--gone)" stroke-width="1.5"><path d="M3 12h40M3 23h40M3 34h40"/></g><g stroke="var(--leaf)" stroke-width="3"><path d="M23 44V8M23 34H9M23 34h14M23 23H7M23 23h10M23 12h12M23 12H12"/></g><g fill="var(--leaf)" stroke="none"><circle cx="9" cy="34" r="3.4"/><circle cx="37" cy="34" r="3.4"/><circle cx="7" cy="23" r="3.4"/><circle cx="35" cy="12" r="3.4"/><circle cx="12" cy="12" r="3.4"/><circle cx="23" cy="6" r="3.4"/></g><circle cx="33" cy="23" r="2.6" stroke="var(--bark)" stroke-width="2"/></svg>)svg";

}  // namespace espalier::tool
