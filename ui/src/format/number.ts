// Numbers as people read them. The whole value belongs into a title where the short one loses digits.

const THIN = ' ';
const UNITS = ['', 'k', 'M', 'G', 'T', 'P'];
const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Three digits that matter: `12.3k`, `1.05M`, `0.004`. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return special(value);
  const size = Math.abs(value);
  if (size < 1000) return digits(value);
  let unit = Math.min(Math.floor(Math.log10(size) / 3), UNITS.length - 1);
  // 999,950 would be shown as 1000k.
  if (unit < UNITS.length - 1 && Math.abs(Number((value / 1000 ** unit).toPrecision(3))) >= 1000) unit += 1;
  return `${digits(value / 1000 ** unit)}${UNITS[unit]}`;
}

function digits(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1000) return String(value);
  return String(Number(value.toPrecision(3)));
}

function special(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? '+Inf' : '-Inf';
}

/** Whole numbers with groups of three digits: `1,234,567`. */
export function whole(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en-US') : special(value);
}

/** Powers of 1024: `1.5 MiB`. */
export function bytes(value: number): string {
  if (!Number.isFinite(value)) return special(value);
  let unit = 0;
  let rest = value;
  while (Math.abs(rest) >= 1023.5 && unit < BINARY.length - 1) {
    rest /= 1024;
    unit += 1;
  }
  const text = Math.abs(rest) >= 100 || unit === 0 ? rest.toFixed(0) : rest.toPrecision(3);
  return `${Number(text)}${THIN}${BINARY[unit]}`;
}

/** `97.5%` of a share between 0 and 1. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return special(share);
  const value = share * 100;
  return `${value > 0 && value < 0.1 ? '<0.1' : Number(value.toFixed(value < 10 ? 1 : 0))}%`;
}

/** `1 target`, `2 targets`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${whole(count)} ${count === 1 ? one : many}`;
}

/** The API's numbers, which come as text. */
export function parse(text: string): number {
  switch (text) {
    case '+Inf':
    case 'Inf':
      return Number.POSITIVE_INFINITY;
    case '-Inf':
      return Number.NEGATIVE_INFINITY;
    default:
      return Number(text);
  }
}
