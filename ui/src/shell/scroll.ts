// The element that scrolls; tables ask it which of their rows are on the screen.

import { type Accessor, createContext } from 'solid-js';

export const ScrollContext = createContext<Accessor<HTMLElement | undefined>>(() => undefined);
