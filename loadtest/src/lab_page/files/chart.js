// A chart of units over time: a line for each series, and a dashed line for the stock. What is above the stock is red.

import { draw, number, seconds } from "./dom.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [640, 180, 8, 26, 20];
/** More points than there are pixels show nothing more. */
const MOST = 600;

export class Chart {
  constructor(label) {
    this.points = [];
    this.svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart", role: "img", "aria-label": label });
  }

  clear() {
    this.points = [];
    this.svg.replaceChildren();
  }

  /** Adds the values at a time in milliseconds. `series` are names and values; a value may be null. */
  add(ms, series, stock) {
    if (ms < this.points.at(-1)?.ms) this.clear(); // another run
    if (ms === this.points.at(-1)?.ms) return;
    this.points.push({ ms, series });
    if (this.points.length > MOST) this.points = this.points.filter((_, n) => n % 2 === 0);
    this.paint(stock);
  }

  paint(stock) {
    const ends = this.points.at(-1).ms || 1;
    const values = this.points.flatMap((point) => point.series.map(([, value]) => value ?? 0));
    const highest = Math.max((stock ?? 0) * 1.25, ...values, 1);
    const x = (ms) => LEFT + (ms / ends) * (WIDTH - 2 * LEFT);
    const y = (units) => HEIGHT - BOTTOM - (units / highest) * (HEIGHT - BOTTOM - TOP);
    const parts = [];
    if (stock) {
      const over = above(this.points, stock).map(([ms, units]) => `${x(ms)},${y(units)}`);
      parts.push(draw("polygon", { class: "over", points: [`${x(0)},${y(stock)}`, ...over, `${x(ends)},${y(stock)}`].join(" ") }));
      parts.push(draw("line", { class: "stock", x1: x(0), x2: x(ends), y1: y(stock), y2: y(stock) }));
      parts.push(draw("text", { x: LEFT, y: y(stock) - 4 }, `stock ${number(stock)}`));
    }
    this.points[0].series.forEach(([name], n) => {
      const known = this.points.filter((point) => point.series[n]?.[1] !== null && point.series[n]?.[1] !== undefined);
      const line = known.map((point) => `${x(point.ms)},${y(point.series[n][1])}`).join(" ");
      parts.push(draw("polyline", { class: name.replaceAll(" ", "-"), points: line }));
    });
    parts.push(draw("text", { x: WIDTH - LEFT, y: HEIGHT - 6, "text-anchor": "end" }, seconds(ends)));
    parts.push(draw("text", { x: LEFT, y: HEIGHT - 6 }, "0 s"));
    this.svg.replaceChildren(...parts);
  }
}

/** The first series where it is above the stock, and the stock elsewhere. Between two points, it may cross the stock. */
function above(points, stock) {
  const value = (point) => point.series[0][1] ?? 0;
  return points.flatMap((point, n) => {
    const own = [point.ms, Math.max(value(point), stock)];
    const before = points[n - 1];
    if (!before || (value(before) - stock) * (value(point) - stock) >= 0) return [own];
    const share = (stock - value(before)) / (value(point) - value(before));
    return [[before.ms + share * (point.ms - before.ms), stock], own];
  });
}
