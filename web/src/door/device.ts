// What a browser calls itself until somebody gives it a better name.

const browsers: [RegExp, string][] = [
  [/\bEdg(e|A|iOS)?\//, "edge"],
  [/\b(OPR|Opera)\//, "opera"],
  [/\b(Firefox|FxiOS)\//, "firefox"],
  [/\b(Chromium|Chrome|CriOS|HeadlessChrome)\//, "chrome"],
  [/\bSafari\//, "safari"],
];

const systems: [RegExp, string][] = [
  [/\bAndroid\b/, "android"],
  [/\b(iPhone|iPod)\b/, "iphone"],
  [/\biPad\b/, "ipad"],
  [/\bWindows\b/, "windows"],
  [/\bCrOS\b/, "chromebook"],
  [/\bMac OS X\b/, "mac"],
  [/\bLinux\b/, "linux"],
];

const first = (agent: string, list: [RegExp, string][]): string | undefined => list.find(([pattern]) => pattern.test(agent))?.[1];

/** nameOf is a device's name made of what a browser says it is. */
export function nameOf(agent: string): string {
  return [first(agent, browsers) ?? "browser", first(agent, systems)].filter(Boolean).join("-");
}
