import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Problem, type Catalog, type Keyhall, type Person, type Share } from "../../model.ts";
import { Banner, BoneRows, Button, ButtonLink, Empty, IconButton, Select, sentence, useKeys, useTitle } from "../parts/index.ts";
import { catalogHref, navigate } from "../router.ts";
import { plain } from "../text.ts";
import { choice, choose } from "./choice.ts";
import { Entries } from "./entries.tsx";
import { Listing, type Order } from "./folder.ts";
import { Crumbs } from "./crumbs.tsx";
import { bytes, files } from "./measure.ts";
import { Online } from "./shares.tsx";
import { Viewer } from "./viewer.tsx";

interface Props {
  keyhall: Keyhall;
  person: Person;
  share: Share;
  /** path of a folder or a file in the catalog. */
  path: string;
}

type Opened = { at: "opening" } | { at: "open"; catalog: Catalog } | { at: "shut"; code: string; why: string };

/** Browse is one catalog: its folders, and what is in them. */
export function Browse({ keyhall, person, share, path }: Props) {
  const [opened, again] = useCatalog(person, share, keyhall.network.value === "offline");
  if (opened.at === "open") return <Inside catalog={opened.catalog} share={share} path={path} onAgain={again} />;
  return (
    <div class="page browse" data-width="wide" aria-busy={opened.at === "opening"}>
      <Crumbs share={share} path="" />
      <Title share={share} title={plain(share.name)} />
      {opened.at === "opening" ? <BoneRows count={6} label={`Opening ${plain(share.name)}`} /> : <Shut share={share} code={opened.code} why={opened.why} onAgain={again} />}
    </div>
  );
}

// useCatalog keeps a catalog open while it is looked at. One whose owner was away is opened when they are there.
function useCatalog(person: Person, share: Share, offline: boolean): [Opened, () => void] {
  const [opened, set] = useState<Opened>({ at: "opening" });
  const [turn, again] = useState(0);
  useEffect(() => {
    if (opened.at === "shut" && opened.code === "unavailable" && share.online && !offline) again((n) => n + 1);
  }, [share.online, offline]);
  useEffect(() => {
    let [gone, open]: [boolean, Catalog | undefined] = [false, undefined];
    set({ at: "opening" });
    person.catalogs.open(share.owner, share.catalog).then(
      (catalog) => (gone ? catalog.close() : ((open = catalog), set({ at: "open", catalog }))),
      (error: unknown) => gone || set({ at: "shut", code: error instanceof Problem ? error.code : "", why: sentence(error) }),
    );
    return () => {
      gone = true;
      open?.close();
    };
  }, [person, share.owner, share.catalog, turn]);
  return [opened, () => again((n) => n + 1)];
}

function Title({ share, title }: { share: Share; title: string }) {
  useTitle(title);
  return (
    <div class="browse-title">
      <h1 tabIndex={-1}>
        <bdi>{title}</bdi>
      </h1>
      <Online online={share.online} />
    </div>
  );
}

function Shut({ share, code, why, onAgain }: { share: Share; code: string; why: string; onAgain(): void }) {
  const owner = plain(share.ownerHandle);
  const away = code === "unavailable";
  return (
    <Empty
      icon={away ? "offline" : "warning"}
      title={away ? `${owner} is not online` : "This catalog could not be opened"}
      ends={
        <>
          <Button icon="again" onClick={onAgain}>
            Try again
          </Button>
          <ButtonLink href="/catalogs">All catalogs</ButtonLink>
        </>
      }
    >
      <span role="alert">{why}</span> {away && `It opens here by itself when ${owner} is back: their computer has to be on, with keyhall serve running.`}
    </Empty>
  );
}

// Inside shows the folder or the file that the address names.
function Inside({ catalog, share, path, onAgain }: { catalog: Catalog; share: Share; path: string; onAgain(): void }) {
  const listing = useMemo(() => new Listing(catalog.entries), [catalog]);
  const left = useRef<string | undefined>(undefined);
  const before = useRef(path);
  if (before.current !== path) [left.current, before.current] = [before.current, path];
  const file = listing.file(path);
  const order = choice.value;
  const folder = file === undefined ? path : path.slice(0, Math.max(0, path.lastIndexOf("/")));
  const items = useMemo(() => listing.items(folder, order), [listing, folder, order]);
  if (file !== undefined) return <Viewer key={file.path} catalog={catalog} share={share} entry={file} items={items} />;
  if (!listing.has(path)) return <Gone share={share} path={path} />;
  return <Folder share={share} path={path} items={items} from={left.current} onAgain={onAgain} />;
}

function Gone({ share, path }: { share: Share; path: string }) {
  return (
    <div class="page browse" data-width="wide">
      <Crumbs share={share} path="" />
      <Title share={share} title={plain(share.name)} />
      <Empty icon="file" title="It is not in this catalog" ends={<ButtonLink href={catalogHref(share.ownerHandle, share.catalog)}>Open the catalog</ButtonLink>}>
        There is no “<bdi>{plain(path)}</bdi>” in it. Its owner may have moved or deleted it.
      </Empty>
    </div>
  );
}

const orders = [["name", "Name"], ["modified", "Date"], ["size", "Size"], ["type", "Kind"]] as const satisfies readonly (readonly [Order["by"], string])[];

interface FolderProps {
  share: Share;
  path: string;
  items: ReturnType<Listing["items"]>;
  /** from is the path that somebody comes from, to go on there. */
  from: string | undefined;
  onAgain(): void;
}

function Folder({ share, path, items, from, onAgain }: FolderProps) {
  const name = path === "" ? share.name : path.slice(path.lastIndexOf("/") + 1);
  const parent = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  const up = () => navigate(path === "" ? "/catalogs" : catalogHref(share.ownerHandle, share.catalog, parent));
  const top = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => top.current?.closest(".main")?.scrollTo(0, 0), [path]);
  useKeys([
    { keys: "u", does: "To the folder above", run: up },
    { keys: "v", does: "Grid or list", run: () => choose({ as: choice.value.as === "grid" ? "list" : "grid" }) },
  ]);
  return (
    <div class="page browse" data-width="wide" ref={top} onKeyDown={(event) => (event.key === "Escape" || event.key === "Backspace") && !event.defaultPrevented && !(event.target instanceof HTMLSelectElement) && up()}>
      <Crumbs share={share} path={path} />
      <div class="browse-head">
        <Title share={share} title={plain(name)} />
        <Tools onAgain={onAgain} />
      </div>
      {share.online === false && (
        <Banner kind="warn" icon="offline">
          {plain(share.ownerHandle)} has gone offline. You can look at the list; files open again when their computer is back.
        </Banner>
      )}
      <p class="quiet small">{summary(items)}</p>
      {items.length > 0 ? <Entries key={path} share={share} items={items} from={from} label={`What is in ${plain(name)}`} /> : <Bare share={share} />}
    </div>
  );
}

function Bare({ share }: { share: Share }) {
  return (
    <div class="stack">
      <Empty icon="folder" title="This catalog is empty">
        When {plain(share.ownerHandle)} puts files into its folder, they appear here.
      </Empty>
    </div>
  );
}

function summary(items: FolderProps["items"]): string {
  const folders = items.filter((item) => item.kind === "folder").length;
  const loose = items.filter((item) => item.kind === "file");
  const size = loose.reduce((sum, item) => sum + (item.kind === "file" ? item.entry.size : 0), 0);
  const said = [folders > 0 && (folders === 1 ? "1 folder" : `${folders.toLocaleString()} folders`), loose.length > 0 && `${files(loose.length)}, ${bytes(size)}`];
  return said.filter(Boolean).join(" · ");
}

function Tools({ onAgain }: { onAgain(): void }) {
  const { as, by, down } = choice.value;
  return (
    <div class="browse-tools">
      <Select label="Sort by" value={by} onValue={(chosen) => choose({ by: chosen, down: chosen === "modified" || chosen === "size" })} options={orders} />
      <IconButton label={down ? "Descending: sort ascending" : "Ascending: sort descending"} icon={down ? "down" : "up"} onClick={() => choose({ down: !down })} />
      <IconButton label={as === "grid" ? "Show as a list" : "Show as a grid"} icon={as === "grid" ? "list" : "grid"} onClick={() => choose({ as: as === "grid" ? "list" : "grid" })} />
      <IconButton label="Load the list anew" icon="again" onClick={onAgain} />
    </div>
  );
}
