import type { Keyhall, Person, Share } from "../../model.ts";
import { Banner, BoneRows, ButtonLink, Empty, Page } from "../parts/index.ts";
import { Browse } from "./browse.tsx";
import { Invitations, Shares } from "./shares.tsx";
import { Yours } from "./yours.tsx";

interface Props {
  keyhall: Keyhall;
  person: Person;
  route: { owner?: string; catalog?: string; path: string };
}

/** CatalogsPage is what others share and what one shares oneself, or one catalog with its folders and files. */
export function CatalogsPage({ keyhall, person, route }: Props) {
  const shares = person.catalogs.shares.value;
  if (route.owner === undefined || route.catalog === undefined) return <Overview keyhall={keyhall} person={person} shares={shares} />;
  const share = shares && find(shares, route.owner, route.catalog);
  if (shares === undefined) return <Waiting />;
  if (share === undefined) return <NotShared />;
  if (share.state === "offered") return <Offered person={person} share={share} />;
  return <Browse key={`${share.owner} ${share.catalog}`} keyhall={keyhall} person={person} share={share} path={route.path} />;
}

// find looks for what an address names: the owner by handle or account, the catalog by id or name.
function find(shares: readonly Share[], owner: string, catalog: string): Share | undefined {
  const named = shares.filter((share) => [share.owner, share.ownerHandle].includes(owner) && [share.catalog, share.name].includes(catalog));
  return named.find((share) => share.state === "accepted") ?? named[0];
}

function Overview({ keyhall, person, shares }: { keyhall: Keyhall; person: Person; shares: readonly Share[] | undefined }) {
  const offered = (shares ?? []).filter((share) => share.state === "offered");
  const accepted = (shares ?? []).filter((share) => share.state === "accepted");
  return (
    <Page title="Catalogs" lead="Folders that people share from their own machines. Nothing is uploaded: what you open comes from its owner, sealed for you." width="wide">
      {keyhall.network.value === "offline" && (
        <Banner kind="warn" icon="offline">
          You are offline: catalogs open again when the network is back.
        </Banner>
      )}
      {offered.length > 0 && <Invitations person={person} shares={offered} />}
      <section class="section" aria-labelledby="shared">
        <h2 id="shared">Shared with you</h2>
        {shares === undefined ? <BoneRows label="Loading what is shared with you" /> : accepted.length > 0 ? <Shares shares={accepted} /> : <Nothing offered={offered.length > 0} />}
      </section>
      <Yours person={person} />
    </Page>
  );
}

function Nothing({ offered }: { offered: boolean }) {
  return (
    <Empty icon="catalogs" title={offered ? "Nothing accepted yet" : "Nobody shares anything with you yet"}>
      {offered ? "Accept an invitation above, and its catalog opens here." : "When somebody shares a catalog with you, the invitation appears here by itself. Tell them your handle."}
    </Empty>
  );
}

function Waiting() {
  return (
    <Page title="Catalog" width="wide">
      <BoneRows label="Loading the catalog" />
    </Page>
  );
}

function NotShared() {
  return (
    <Page title="Catalog">
      <Empty icon="lock" title="This catalog is not shared with you" ends={<ButtonLink href="/catalogs">All catalogs</ButtonLink>}>
        It may have been taken back, or its time may have run out. Ask who shared it to share it again.
      </Empty>
    </Page>
  );
}

function Offered({ person, share }: { person: Person; share: Share }) {
  return (
    <Page title="Catalog">
      <Invitations person={person} shares={[share]} />
      <p>
        <a href="/catalogs">All catalogs</a>
      </p>
    </Page>
  );
}
