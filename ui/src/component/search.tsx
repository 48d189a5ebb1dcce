// The field that narrows a list; `/` goes to it.

export function Search(props: { value: string; onInput: (value: string) => void; label: string }) {
  return (
    <label class="search">
      <span class="visually-hidden">{props.label}</span>
      <input
        class="input"
        type="search"
        data-search
        autocomplete="off"
        spellcheck={false}
        placeholder={props.label}
        value={props.value}
        onInput={(event) => props.onInput(event.currentTarget.value)}
      />
    </label>
  );
}

/** Whether `text` has all words of `wanted`, in any case. */
export function found(text: string, wanted: string): boolean {
  const lower = text.toLowerCase();
  return wanted
    .toLowerCase()
    .split(/\s+/)
    .every((word) => lower.includes(word));
}
