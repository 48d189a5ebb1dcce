// Where in an expression an error of the server is.

export interface Mistake {
  message: string;
  /** Characters from the start. */
  at: number;
}

/** The place that a parse error of the server names, as characters from the start of `text`. */
export function mistakeOf(text: string, error: string): Mistake | undefined {
  const found = /(\d+):(\d+): (.*)$/s.exec(error);
  if (!found) return undefined;
  const before = text.split('\n').slice(0, Number(found[1]) - 1);
  return {
    message: found[3] ?? error,
    at: before.reduce((sum, line) => sum + line.length + 1, 0) + Number(found[2]) - 1,
  };
}
