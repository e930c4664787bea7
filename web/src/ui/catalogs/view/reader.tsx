import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Catalog, Entry } from "../../../model.ts";
import { Check, useLoad } from "../../parts/index.ts";
import { clean } from "../../text.ts";
import { bytes } from "../measure.ts";

interface Props {
  catalog: Catalog;
  entry: Entry;
  name: string;
  other(why: string): ComponentChildren;
}

/** limit is how much of a text is shown. */
const limit = 512 * 1024;

/** Reader shows the beginning of a text, as the characters that it is made of. */
export function Reader({ catalog, entry, name, other }: Props) {
  const [wrap, setWrap] = useState(true);
  const loaded = useLoad(() => catalog.text(entry, limit), [catalog, entry]);
  if (loaded.problem !== undefined) return <div class="stage">{other(loaded.problem)}</div>;
  return (
    <div class="stage" data-text aria-busy={loaded.value === undefined}>
      <div class="reader-tools">
        <Check checked={wrap} onChecked={setWrap}>
          Wrap long lines
        </Check>
        <p class="small quiet" role="status">
          {loaded.value === undefined ? "Opening…" : loaded.value.whole ? "" : `The first ${bytes(limit)} of ${bytes(entry.size)}. Download it for the rest.`}
        </p>
      </div>
      <pre class="reader" tabIndex={0} role="region" aria-label={name} data-wrap={wrap || undefined} dir="auto">
        {loaded.value && clean(loaded.value.text)}
      </pre>
    </div>
  );
}
