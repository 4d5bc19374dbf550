// The style of the report, for light and dark screens and for paper.

export const reportStyle = `
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5c6b7a; --line: #dfe5eb; --page: #f6f8fa; --card: #fff;
  --good: #1a7f4b; --bad: #c0362c; --open: #5c6b7a; --accent: #2563b8; --warn: #9a6700; --band: #2563b826; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #9aa8b5; --line: #323c47; --page: #12171d; --card: #1a2129;
  --good: #4cc38a; --bad: #ff7b70; --open: #9aa8b5; --accent: #6ea8fe; --warn: #e3b341; --band: #6ea8fe2e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 4px; } h2 { font-size: 18px; margin: 34px 0 10px; } h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 6px 0; } .soft { color: var(--soft); } code { font-size: 13px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px; margin: 12px 0; overflow-x: auto; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; margin: 16px 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 14px; }
.tile b { display: block; font-size: 21px; line-height: 1.3; } .tile span { color: var(--soft); font-size: 13px; }
.decision { border-left: 6px solid var(--open); } .decision.good { border-left-color: var(--good); } .decision.bad { border-left-color: var(--bad); }
.decision.warn { border-left-color: var(--warn); }
.status { display: inline-block; font-weight: 650; border-radius: 6px; padding: 2px 10px; color: var(--card); background: var(--open); }
.good .status { background: var(--good); } .bad .status { background: var(--bad); } .warn .status { background: var(--warn); }
ul { margin: 8px 0 0; padding-left: 20px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 13px; padding: 4px 10px 6px 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line); vertical-align: middle; } tr:last-child td { border-bottom: 0; } td.verdict { min-width: 220px; }
td.number, th.number { text-align: right; white-space: nowrap; } td small { color: var(--soft); display: block; }
.role { font-size: 12px; color: var(--soft); border: 1px solid var(--line); border-radius: 5px; padding: 0 6px; margin-left: 6px; white-space: nowrap; }
.better { color: var(--good); } .worse, .broken { color: var(--bad); } .holds { color: var(--good); } .unclear, .unknown, .open { color: var(--soft); }
svg text.tick { fill: var(--soft); font-size: 10.5px; } svg.interval { width: 200px; height: auto; display: block; } svg.chart { width: 100%; height: auto; display: block; }
svg .zero { stroke: var(--soft); stroke-width: 1; } svg .grid { stroke: var(--line); stroke-width: 1; }
svg .bound { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 4 3; }
svg .whisker { stroke: var(--open); stroke-width: 3; fill: none; stroke-linecap: round; } svg circle.estimate { fill: var(--open); }
svg .whisker.better { stroke: var(--good); } svg circle.better { fill: var(--good); } svg .whisker.worse { stroke: var(--bad); } svg circle.worse { fill: var(--bad); }
svg .line { fill: none; stroke: var(--accent); stroke-width: 2; } svg .line.expected { stroke: var(--soft); stroke-dasharray: 5 4; } svg .band { fill: var(--band); } svg .dot { fill: var(--accent); }
.grid2 { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 12px; } .grid2 .card { margin: 0; }
@media print { body { background: #fff; } .card, .tile { break-inside: avoid; } }
`;
