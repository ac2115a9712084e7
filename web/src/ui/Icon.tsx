/** The viewer's icons, drawn in the text's colour. The control around an icon has a text label. */
const PATHS = {
  settings: "M3 5h7m4 0h3M3 10h2m4 0h8M3 15h9m4 0h1M12 3v4M7 8v4M14 13v4",
  download: "M10 3v9m-4-4 4 4 4-4M4 16h12",
  share: "M8 11.5 12.5 7M9 5.5l1.5-1.5a3.5 3.5 0 0 1 5 5L14 10.5M11 14.5 9.5 16a3.5 3.5 0 0 1-5-5L6 9.5",
  copy: "M7 7h9v9H7zM13 7V4H4v9h3",
  filter: "M3 4h14l-5.5 6.5V16l-3 1.5v-7z",
  goto: "M3 10h9m-4-4 4 4-4 4M16 4v12",
  up: "m5 12 5-5 5 5",
  down: "m5 8 5 5 5-5",
  close: "m5 5 10 10M15 5 5 15",
  merge: "M4 4v3c0 3 6 3 6 6v3M16 4v3c0 3-6 3-6 6",
  columns: "M3 4h14v12H3zM10 4v12",
  link: "M4 10h12M7 7l-3 3 3 3M13 7l3 3-3 3",
  fold: "M4 5h12M7 9h9M7 12h9M4 16h12",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg
      class="icon"
      viewBox="0 0 20 20"
      width="16"
      height="16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.7"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
