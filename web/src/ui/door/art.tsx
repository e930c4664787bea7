const arches = [
  [232, 800, 56],
  [194, 770, 118],
  [158, 742, 176],
  [126, 717, 229],
  [98, 695, 276],
  [74, 676, 318],
  [54, 660, 354],
] as const;

function arch([half, base, top]: readonly [number, number, number]): string {
  return `M${240 - half} ${base}V${top + half}a${half} ${half} 0 0 1 ${2 * half} 0V${base}Z`;
}

/** Art is the hall: arch behind arch, and light at the end of it, in which there is a keyhole. */
export function Art() {
  return (
    <svg class="art" viewBox="0 0 480 800" preserveAspectRatio="xMidYMax slice" aria-hidden="true">
      {arches.map((one) => (
        <path key={one[0]} class="art-arch" d={arch(one)} />
      ))}
      <path class="art-lines" d={`M8 800 186 660M472 800 294 660M124 800 213 660M356 800 267 660M240 800V660`} />
      <g class="art-hole">
        <circle cx="240" cy="520" r="17" />
        <path d="M231 528h18l9 62h-36Z" />
      </g>
    </svg>
  );
}
