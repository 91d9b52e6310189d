// A small line chart as SVG: named places on the x axis, one dot per measurement, lines through the means.
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [560, 340, 60, 130, 46, 52];
const COLORS = ["#1f5fbf", "#c2571a", "#3a8a4d", "#8a4da8"];

/** Round numbers in [low, high], about five. */
function ticks(low, high) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 5));
  const distance = [1, 2, 5, 10].map((factor) => factor * power).find((step) => (high - low) / step <= 6);
  const first = Math.ceil(low / distance);
  const count = Math.floor(high / distance) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * distance).toPrecision(6)));
}

/** @param lines each { name, points: [place, value][] }; places in the order of the first line */
export function drawLines(lines, { title, x, y }) {
  const places = [...new Set(lines.flatMap(({ points }) => points.map(([place]) => place)))];
  const values = lines.flatMap(({ points }) => points.map(([, value]) => value));
  const margin = (Math.max(...values) - Math.min(...values)) * 0.08 || 1;
  const [low, high] = [Math.min(...values) - margin, Math.max(...values) + margin];
  const atX = (place) => LEFT + ((places.indexOf(place) + 0.5) / places.length) * (WIDTH - LEFT - RIGHT);
  const atY = (value) =>
    Number((HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM)).toFixed(1));
  const text = (px, py, content, more = "") => `<text x="${px}" y="${py}" ${more}>${content}</text>`;
  const axes = [
    ...ticks(low, high).map(
      (tick) =>
        `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${atY(tick)}" y2="${atY(tick)}" stroke="#e6e8ee"/>` +
        text(LEFT - 8, atY(tick) + 4, tick, 'text-anchor="end"'),
    ),
    ...places.map((place) => text(atX(place), HEIGHT - BOTTOM + 20, place, 'text-anchor="middle"')),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x, 'text-anchor="middle"'),
    text(
      16,
      (TOP + HEIGHT - BOTTOM) / 2,
      y,
      `text-anchor="middle" transform="rotate(-90 16 ${(TOP + HEIGHT - BOTTOM) / 2})"`,
    ),
  ];
  const ends = lines.map(({ points }) => {
    const last = points.filter(([place]) => place === places.at(-1)).map(([, value]) => value);
    return atY(last.reduce((a, b) => a + b, 0) / last.length);
  });
  // Names of lines that end close to each other move apart, from top to bottom.
  const labels = [...ends];
  let above = Number.NEGATIVE_INFINITY;
  for (const i of lines.map((_, k) => k).sort((a, b) => ends[a] - ends[b])) {
    labels[i] = Math.max(labels[i], above + 15);
    above = labels[i];
  }
  const drawn = lines.map(({ name, points }, i) => {
    const color = COLORS[i % COLORS.length];
    const path = places
      .map((place) => [place, points.filter(([at]) => at === place).map(([, value]) => value)])
      .filter(([, found]) => found.length > 0)
      .map(([place, found]) => [atX(place), atY(found.reduce((a, b) => a + b, 0) / found.length)].join())
      .join(" ");
    const dots = points.map(
      ([place, value]) => `<circle cx="${atX(place)}" cy="${atY(value)}" r="3.5" fill="${color}" fill-opacity=".6"/>`,
    );
    return (
      `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2"/>${dots.join("")}` +
      text(WIDTH - RIGHT + 4, labels[i] + 4, name, `fill="${color}" font-weight="600"`)
    );
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" ` +
    `font-family="system-ui, sans-serif" font-size="12" fill="#334"><title>${title}</title><rect width="100%" height="100%" fill="#fff"/>` +
    `${text(LEFT, 26, title, 'font-size="15" font-weight="600"')}${axes.join("")}${drawn.join("")}</svg>\n`
  );
}
