// Expressions that were run before, newest first; kept by the browser.

const KEY = 'nave.query.history';
const KEPT = 100;

export function readHistory(): string[] {
  try {
    const known: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(known) ? known.filter((one) => typeof one === 'string') : [];
  } catch {
    return [];
  }
}

export function remember(expression: string): void {
  const text = expression.trim();
  if (text === '') return;
  const all = [text, ...readHistory().filter((one) => one !== text)].slice(0, KEPT);
  try {
    localStorage.setItem(KEY, JSON.stringify(all));
  } catch {
    // A full or forbidden store forgets, nothing more.
  }
}
