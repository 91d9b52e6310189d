/** The look of reports: one column, tabular numbers, light and dark. */
export const REPORT_STYLE = `
:root { color-scheme: light dark; --text: #1c1e21; --muted: #63676d; --line: #d9dce0; --back: #fff; --card: #f5f6f8; --accent: #0b63b5; --warn: #8a5300; --warn-back: #fff5e2; }
@media (prefers-color-scheme: dark) { :root { --text: #e5e7ea; --muted: #9aa0a8; --line: #363a40; --back: #17191c; --card: #1f2226; --accent: #7db8f2; --warn: #f2c37b; --warn-back: #2f2614; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 62rem; background: var(--back); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 .25rem; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.1rem; }
p { margin: .25rem 0; }
.muted { color: var(--muted); }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .45rem .75rem .45rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; white-space: nowrap; }
td { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; overflow-wrap: normal; }
td.number { font-size: 1.05rem; }
td.direction { min-width: 8rem; overflow-wrap: normal; color: var(--muted); }
table.plain th, table.plain td { padding-top: .25rem; padding-bottom: .25rem; }
table.plain th { width: 13rem; font-weight: 400; color: var(--muted); }
.scroll { overflow-x: auto; }
.warnings { margin: 1rem 0; padding: .75rem 1rem; border-left: 4px solid var(--warn); background: var(--warn-back); }
.warnings p { color: var(--warn); overflow-wrap: anywhere; }
.example { margin: 0 0 1.5rem; padding: .75rem; background: var(--card); border-radius: .5rem; }
.example .row { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .5rem; }
.example img { width: 100%; height: auto; display: block; }
.example .label { font-size: .8rem; color: var(--muted); }
.example figcaption { display: flex; flex-wrap: wrap; gap: .25rem 1rem; justify-content: space-between; margin-bottom: .5rem; font-size: .9rem; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .5rem; }
.grid img { width: 100%; display: block; }
svg.histogram { width: 100%; height: auto; display: block; }
svg.histogram rect { fill: var(--accent); }
svg.histogram text { fill: var(--muted); font-size: 11px; }
code { font-family: ui-monospace, monospace; font-size: .85em; }
`;
