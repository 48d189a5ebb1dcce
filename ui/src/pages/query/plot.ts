// What all plots of the page share: sizes, axes, colours for a canvas.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { instant, utc } from '../../format/time';

export const HEIGHT = 360;
export const COLOURS = 8;
/** Below this a drag is a click. */
const DRAG_PX_MIN = 4;

/** In ms. */
export interface Span {
  start: number;
  end: number;
  step: number;
}

/** `light-dark()` is for style sheets; a canvas needs the colour itself. */
export function resolved(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export function axisOf(): uPlot.Axis {
  return {
    stroke: resolved('--text-soft'),
    grid: { stroke: resolved('--line'), width: 1 },
    ticks: { stroke: resolved('--line'), width: 1 },
  };
}

export const tzDate = (seconds: number) =>
  utc() ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000);

/** Clock times, with the date where the day changes. */
export function timeTexts(_: uPlot, ticks: number[]): string[] {
  let day = '';
  return ticks.map((seconds) => {
    const text = instant(seconds * 1000);
    const same = text.slice(5, 10) === day;
    day = text.slice(5, 10);
    const clock = text.endsWith(':00') ? text.slice(11, 16) : text.slice(11);
    return same ? clock : `${clock}\n${day}`;
  });
}

/** Calls back with the part of the time that was dragged over, in ms. */
export function zoomHook(onZoom: (start: number, end: number) => void) {
  return (self: uPlot) => {
    const { left, width } = self.select;
    if (width >= DRAG_PX_MIN)
      onZoom(self.posToVal(left, 'x') * 1000, self.posToVal(left + width, 'x') * 1000);
  };
}

/** Keeps a plot as wide as its place; gives what ends it. */
export function follow(place: HTMLElement, plot: () => uPlot | undefined): () => void {
  const resized = new ResizeObserver(() => {
    const now = plot();
    if (now && place.clientWidth > 0 && now.width !== place.clientWidth)
      now.setSize({ width: place.clientWidth, height: HEIGHT });
  });
  resized.observe(place);
  return () => resized.disconnect();
}
