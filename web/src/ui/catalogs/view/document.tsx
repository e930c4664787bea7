import type { ComponentChildren } from "preact";
import type { Entry } from "../../../model.ts";

interface Props {
  entry: Entry;
  url: string;
  name: string;
  /** trouble is why its bytes did not come, where that is known. */
  trouble: string | undefined;
  other(why: string): ComponentChildren;
}

/** Document shows a PDF in the browser's own viewer. */
export function Document({ url, name, trouble, other }: Props) {
  if (!navigator.pdfViewerEnabled) return <div class="stage">{other("This browser has no viewer for PDF, or it is turned off in its settings.")}</div>;
  if (trouble !== undefined) return <div class="stage">{other(trouble)}</div>;
  return (
    <div class="stage">
      <iframe class="document" src={url} title={name} />
    </div>
  );
}
