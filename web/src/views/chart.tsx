// A line drawn over time by uPlot, in the page's own colours. It draws what it is given; an empty one is not shown at all.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export interface Line {
  name: string;
  /** One value for each of the times; null where there is none. */
  values: (number | null)[];
  /** The name of a colour of base.css. */
  colour: string;
  steps?: boolean;
  points?: boolean;
}

const kHeight = 132;
const kLabelHalf = 30; // px that the last time of the axis reaches beyond the plot
const kShortSpan = 900; // seconds that are told apart by their seconds

const clock = (splits: number[]) => (at: number) =>
  new Date(at * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", ...((splits.at(-1) ?? 0) - (splits[0] ?? 0) < kShortSpan ? { second: "2-digit" } : {}) });

export function Chart({ label, times, lines, format, least = 1 }: { label: string; times: number[]; lines: Line[]; format: (value: number) => string; least?: number }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const names = lines.map((line) => line.name).join("\n");

  useEffect(() => {
    const where = box.current;
    if (!where) return;
    const make = () => {
      plot.current?.destroy();
      const colour = (name: string) => getComputedStyle(where).getPropertyValue(`--${name}`).trim() || "gray";
      const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      plot.current = new uPlot(
        {
          width: Math.max(where.clientWidth, 100), height: kHeight, legend: { show: false }, cursor: { show: false }, padding: [8, kLabelHalf, 0, 0],
          scales: { y: { range: (_plot, _least, most) => [0, Math.max(most * 1.15, least)] } },
          axes: [{ ...axis, space: 96, size: 28, values: (_plot, splits) => splits.map(clock(splits)) },
            { ...axis, size: 58, space: 36, values: (_plot, splits) => splits.map(format) }],
          series: [{}, ...lines.map((line) => ({
            label: line.name, stroke: colour(line.colour), width: 1.75, points: { show: line.points ?? false, size: 5, fill: colour(line.colour) },
            ...(line.steps && uPlot.paths.stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}), spanGaps: true,
          }))],
        },
        [times, ...lines.map((line) => line.values)] as uPlot.AlignedData, where);
    };
    make();
    const sizes = new ResizeObserver(() => plot.current?.setSize({ width: Math.max(where.clientWidth, 100), height: kHeight }));
    sizes.observe(where);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", make);
    return () => {
      scheme.removeEventListener("change", make);
      sizes.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [names]);
  useEffect(() => plot.current?.setData([times, ...lines.map((line) => line.values)] as uPlot.AlignedData), [times, lines]);

  const last = lines.map((line) => {
    const value = line.values.findLast((one) => one !== null);
    return value == null ? "" : `${line.name}: ${format(value)}`;
  }).filter(Boolean).join(", ");
  return (
    <figure class="chart">
      <figcaption>
        <span>{label}</span>
        {lines.length > 1 && <span class="keys">{lines.map((line) => <span key={line.name} class="key"><i style={{ background: `var(--${line.colour})` }} />{line.name}</span>)}</span>}
      </figcaption>
      <div ref={box} class="plot" role="img" aria-label={`${label}. ${last}`} />
    </figure>
  );
}
