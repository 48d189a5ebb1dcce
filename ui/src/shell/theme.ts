// Dark, light, or as the system has it; a choice that stays.

import { createEffect, createRoot, createSignal } from 'solid-js';

export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'nave.theme';
const ORDER: readonly Theme[] = ['auto', 'light', 'dark'];
const system = matchMedia('(prefers-color-scheme: dark)');

function stored(): Theme {
  const text = localStorage.getItem(KEY);
  return ORDER.find((theme) => theme === text) ?? 'auto';
}

const [theme, setThemeSignal] = createSignal<Theme>(stored());
const [systemDark, setSystemDark] = createSignal(system.matches);
system.addEventListener('change', () => setSystemDark(system.matches));

export { theme };

/** Whether the page is dark now; for what is drawn on a canvas. */
export const isDark = () => theme() === 'dark' || (theme() === 'auto' && systemDark());

export function nextTheme(): void {
  const next = ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length] ?? 'auto';
  localStorage.setItem(KEY, next);
  setThemeSignal(next);
}

createRoot(() => {
  createEffect(() => {
    if (theme() === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme();
  });
});
