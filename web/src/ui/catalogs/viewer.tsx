import { useEffect, useRef } from "preact/hooks";
import type { Catalog, Entry, Share } from "../../model.ts";
import { announce, Banner, Button, date, Icon, useKeys, useLoad, useTask, useTitle } from "../parts/index.ts";
import { catalogHref, navigate } from "../router.ts";
import { clean, plain } from "../text.ts";
import { Crumbs } from "./crumbs.tsx";
import type { Item } from "./folder.ts";
import { format, kind } from "./kind.ts";
import { bytes } from "./measure.ts";
import { Document } from "./view/document.tsx";
import { Film } from "./view/film.tsx";
import { Other } from "./view/other.tsx";
import { Picture } from "./view/picture.tsx";
import { Reader } from "./view/reader.tsx";
import { Online } from "./shares.tsx";

interface Props {
  catalog: Catalog;
  share: Share;
  entry: Entry;
  /** items of the folder it is in, in their order: what is before it and after it. */
  items: readonly Item[];
}

/** Viewer shows one file, as far as a browser can, and saves it in any case. */
export function Viewer({ catalog, share, entry, items }: Props) {
  const name = plain(entry.path.slice(entry.path.lastIndexOf("/") + 1));
  const href = (path: string) => catalogHref(share.ownerHandle, share.catalog, path);
  const [before, after] = neighbours(items, entry);
  const folder = entry.path.slice(0, Math.max(0, entry.path.lastIndexOf("/")));
  const close = () => navigate(href(folder));
  const go = (to: Entry | undefined) => to && navigate(href(to.path), { replace: true });
  const heading = useRef<HTMLHeadingElement>(null);
  useTitle(name);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  useKeys([
    { keys: "Escape", does: "Close, to the folder", run: close },
    { keys: "j", does: "Next file", run: () => go(after) },
    { keys: "k", does: "Previous file", run: () => go(before) },
  ]);
  return (
    <article class="viewer" data-kind={kind(entry)}>
      <header class="viewer-head">
        <Crumbs share={share} path={folder} above />
        <div class="viewer-title">
          <h1 ref={heading} tabIndex={-1}>
            <bdi>{name}</bdi>
          </h1>
          <Online online={share.online} />
        </div>
        <nav class="viewer-ends" aria-label="Files of the folder">
          <Step to={before} label="Previous file" icon="left" go={go} />
          <Step to={after} label="Next file" icon="right" go={go} />
          <Download catalog={catalog} entry={entry} />
        </nav>
      </header>
      {share.online === false && (
        <Banner kind="warn" icon="offline">
          {plain(share.ownerHandle)} is offline. What is shown goes on as far as it came; the rest follows when their computer is back.
        </Banner>
      )}
      <Stage catalog={catalog} share={share} entry={entry} name={name} onStep={(by) => go(by < 0 ? before : after)} />
      <footer class="viewer-foot small quiet">
        {entry.description && <p class="viewer-about">{clean(entry.description)}</p>}
        <p>
          {format(entry)} · {bytes(entry.size)} · {date(entry.modified)}
        </p>
      </footer>
    </article>
  );
}

function neighbours(items: readonly Item[], entry: Entry): [Entry | undefined, Entry | undefined] {
  const entries = items.flatMap((item) => (item.kind === "file" ? [item.entry] : []));
  const at = entries.findIndex((one) => one.path === entry.path);
  return [entries[at - 1], entries[at + 1]];
}

function Step({ to, label, icon, go }: { to: Entry | undefined; label: string; icon: "left" | "right"; go(to: Entry | undefined): void }) {
  return (
    <button type="button" class="button" data-kind="quiet" data-shape="icon" aria-label={label} title={label} disabled={to === undefined} onClick={() => go(to)}>
      <Icon name={icon} />
    </button>
  );
}

/** Download saves a file to the disk, and says so when that failed. */
export function Download({ catalog, entry, primary }: { catalog: Catalog; entry: Entry; primary?: boolean }) {
  const task = useTask();
  return (
    <>
      <Button kind={primary ? "primary" : "plain"} icon="download" busy={task.busy} onClick={() => void task.run(() => catalog.download(entry)).then((done) => done && announce("The download is on its way to your disk."))}>
        Download
      </Button>
      {task.problem && (
        <div class="viewer-problem">
          <Banner kind="problem">{task.problem}</Banner>
        </div>
      )}
    </>
  );
}

interface StageProps {
  catalog: Catalog;
  share: Share;
  entry: Entry;
  name: string;
  onStep(by: 1 | -1): void;
}

// Stage has the same size whatever comes into it, so that nothing moves when it comes.
function Stage(props: StageProps) {
  const { catalog, share, entry } = props;
  const is = kind(entry);
  const url = useLoad(() => (is === "text" || is === "other" ? Promise.resolve("") : catalog.url(entry)), [catalog, entry]);
  const trouble = catalog.trouble.value?.path === entry.path ? catalog.trouble.value.problem.message : undefined;
  const other = (why: string) => <Other catalog={catalog} share={share} entry={entry} why={why} />;
  if (url.problem !== undefined) return <div class="stage">{other(url.problem)}</div>;
  if (url.value === undefined) return <div class="stage" aria-busy="true" />;
  const view = { ...props, url: url.value, other, trouble };
  if ((is === "video" || is === "audio") && catalog.shows(entry) === undefined) return <div class="stage">{other(`This browser has no player for this format: ${format(entry)}.`)}</div>;
  if (is === "video" || is === "audio") return <Film {...view} sound={is === "audio"} />;
  if (is === "image") return <Picture {...view} />;
  if (is === "pdf") return <Document {...view} />;
  if (is === "text") return <Reader {...view} />;
  return <div class="stage">{other(`Browsers show nothing of this kind: ${format(entry)}.`)}</div>;
}
