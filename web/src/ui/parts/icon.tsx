// Icons: strokes on a grid of 24, in the colour of the text beside them. They are never the only thing that says something.

const paths = {
  rooms: "M4 19.5V7a3 3 0 0 1 3-3h10a3 3 0 0 1 3 3v6a3 3 0 0 1-3 3H8.5L4 19.5ZM8.5 9h7M8.5 12h4",
  catalogs: "M5 20V10a7 7 0 0 1 14 0v10ZM9 20v-9a3 3 0 0 1 6 0v9M3 20h18",
  people: "M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20a6.5 6.5 0 0 1 13 0M16 4.8a3.5 3.5 0 0 1 0 6.4M18 14.2a6.5 6.5 0 0 1 3.5 5.8",
  settings: "M4 7h9M17 7h3M15 5v4M4 12h3M11 12h9M9 10v4M4 17h7M15 17h5M13 15v4",
  key: "M8.5 15.5a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM12.3 10.5H21v4M17.5 10.5v3",
  lock: "M6 11h12v9H6ZM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  shield: "M12 3.5 19 6v6c0 4.5-3 7.3-7 8.5-4-1.2-7-4-7-8.5V6ZM9 12l2.2 2.2L15.2 10",
  copy: "M9 9h11v11H9ZM5.5 15H4V4h11v1.5",
  check: "M5 12.5 10 17.5 19.5 7",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  close: "M6 6l12 12M18 6 6 18",
  more: "M5 12.5a.5.5 0 1 0 0-1 .5.5 0 0 0 0 1ZM12 12.5a.5.5 0 1 0 0-1 .5.5 0 0 0 0 1ZM19 12.5a.5.5 0 1 0 0-1 .5.5 0 0 0 0 1Z",
  right: "M9.5 5.5 16 12l-6.5 6.5",
  left: "M14.5 5.5 8 12l6.5 6.5",
  down: "M5.5 9.5 12 16l6.5-6.5",
  up: "M5.5 14.5 12 8l6.5 6.5",
  back: "M20 12H4.5M11 5.5 4.5 12l6.5 6.5",
  download: "M12 4v11M7 10.5 12 15.5 17 10.5M4.5 20h15",
  print: "M7 9V4h10v5M7 17H4V9h16v8h-3M7 14h10v6H7Z",
  device: "M5 5h14v10H5ZM2.5 19h19",
  phone: "M7.5 3h9v18h-9ZM11 18h2",
  terminal: "M3.5 5h17v14h-17ZM7 9.5l3 2.5-3 2.5M12.5 15H17",
  warning: "M12 4 21 19.5H3ZM12 10v4M12 17h.01",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 11v5M12 8h.01",
  offline: "M4 4l16 16M8.5 16a5 5 0 0 1 7 0M5 12.5a10 10 0 0 1 4.3-2.5M13.5 9.700a10 10 0 0 1 5.5 2.800M2 9a15 15 0 0 1 4-2.600M10.5 5.100A15 15 0 0 1 22 9M12 19.5h.01",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12ZM12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z",
  hide: "M4 4l16 16M9.9 9.900a3 3 0 0 0 4.2 4.2M6.5 6.900C4 8.7 2.5 12 2.5 12S6 18.5 12 18.5c1.9 0 3.5-.6 4.9-1.5M10.5 5.600c.5-.1 1-.1 1.5-.1 6 0 9.5 6.5 9.5 6.5s-.8 1.5-2.3 3.1",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13ZM15.5 15.5 20.5 20.5",
  share: "M12 15V3.5M7.5 7.5 12 3.5l4.5 4M6 11H4.5v9.5h15V11H18",
  link: "M10 14a4 4 0 0 0 5.7 0l3.3-3.300A4 4 0 0 0 13.3 5L12 6.300M14 10a4 4 0 0 0-5.7 0L5 13.300A4 4 0 0 0 10.7 19L12 17.7",
  sun: "M12 16.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.300l1.4 1.400M17.3 17.300l1.4 1.400M5.3 18.700l1.4-1.400M17.3 6.700l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z",
  contrast: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 3v18M12 8h6.5M12 12h9M12 16h6.5",
  trash: "M4.5 7h15M9.5 7V4h5v3M6.5 7l1 13.5h9L17.5 7M10 11v5.5M14 11v5.5",
  edit: "M4.5 19.5 5.5 15 16 4.5 19.5 8 9 18.5ZM13.5 7l3.5 3.5",
  send: "M4 12 20 4.5 15.5 20 12 13.5ZM12 13.5 20 4.5",
  play: "M8 5v14l11-7Z",
  pause: "M8 5v14M16 5v14",
  file: "M6 3h8l4.5 4.5V21H6ZM13.5 3v5h5",
  text: "M6 3h8l4.5 4.5V21H6ZM13.5 3v5h5M9 12.5h6M9 16h6",
  image: "M4 5h16v14H4ZM4 16l5-5 4 4 2.5-2.5L20 16.5M15.5 9.5h.01",
  music: "M9 17.5V5.5l10-2v12M9 17.5a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0ZM19 15.5a2.5 2.5 0 1 1-5 0 2.5 2.5 0 0 1 5 0Z",
  film: "M4 5h16v14H4ZM8 5v14M16 5v14M4 9.700h4M4 14.300h4M16 9.700h4M16 14.300h4",
  folder: "M3.5 19V5.5h6l2 2.5h9v11Z",
  grid: "M4.5 4.5h6v6h-6ZM13.5 4.5h6v6h-6ZM4.5 13.5h6v6h-6ZM13.5 13.5h6v6h-6Z",
  list: "M8.5 6H20M8.5 12H20M8.5 18H20M4 6h.01M4 12h.01M4 18h.01",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18ZM12 7v5.5l3.5 2",
  leave: "M14 4H5v16h9M10.5 12H21M17 8l4 4-4 4",
  again: "M19.5 12a7.5 7.5 0 1 1-2.2-5.300L20 9.5M20 4.5v5h-5",
  keyboard: "M3 6.5h18v11H3ZM6.5 10h.01M10 10h.01M14 10h.01M17.5 10h.01M8 14h8",
  door: "M6 20.5V10a6 6 0 0 1 12 0v10.5M3.5 20.5h17M14.5 13.5h.01",
} as const;

export type IconName = keyof typeof paths;

/** Icon draws one, 1.25 times the text's size or 20 px; big is for empty states. */
export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}

/** Mark is Keyhall's own: an arch in an arch, and between them a keyhole. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" fill="none" aria-hidden="true">
      <path d="M3 29V15.5a13 13 0 0 1 26 0V29Z" fill="currentColor" />
      <circle cx="16" cy="14" r="4.5" fill="var(--ground)" />
      <path d="M14 16h4l2.5 13h-9Z" fill="var(--ground)" />
    </svg>
  );
}
