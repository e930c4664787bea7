import { useMemo, useState } from "preact/hooks";
import { outline } from "../qr.ts";
import { announce } from "./announce.ts";
import { Button, IconButton } from "./button.tsx";

/** Words are what two people read to each other. */
export function Words({ words, label = "Words to compare" }: { words: string; label?: string }) {
  return (
    <ol class="words" aria-label={label}>
      {words.split(/[\s-]+/).filter(Boolean).map((word, index) => (
        <li key={index}>{word}</li>
      ))}
    </ol>
  );
}

/** Code is something to copy exactly: large to be typed, line where only its beginning has to be seen. */
export function Code({ text, label, size }: { text: string; label: string; size?: "large" | "line" }) {
  return (
    <div class="code" data-size={size} role="group" aria-label={label}>
      <span class="code-text">{text}</span>
      <CopyButton text={text} label={`Copy ${label.toLowerCase()}`} />
    </div>
  );
}

/** CopyButton puts a text on the clipboard, and says whether it got there. */
export function CopyButton({ text, label, children }: { text: string; label: string; children?: string }) {
  const [copied, set] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      set(true);
      announce("Copied.");
      setTimeout(() => set(false), 2000);
    } catch {
      announce("The browser does not let this page copy: select the text and copy it yourself.");
    }
  };
  const icon = copied ? "check" : "copy";
  if (children === undefined) return <IconButton label={label} icon={icon} onClick={() => void copy()} />;
  return (
    <Button icon={icon} onClick={() => void copy()}>
      {children}
    </Button>
  );
}

/** QR shows a text to a camera. It is dark on light by night too: many cameras read nothing else. */
export function QR({ text, label }: { text: string; label: string }) {
  const drawn = useMemo(() => outline(text), [text]);
  return (
    <svg class="qr" viewBox={`0 0 ${drawn.size} ${drawn.size}`} role="img" aria-label={label} shape-rendering="crispEdges">
      <path d={drawn.path} fill="currentColor" />
    </svg>
  );
}
