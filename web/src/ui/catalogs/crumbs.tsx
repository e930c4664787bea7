import type { Share } from "../../model.ts";
import { Icon } from "../parts/index.ts";
import { catalogHref } from "../router.ts";
import { plain } from "../text.ts";

/** Crumbs are the way from all catalogs to a folder; of a file (above), to the folder that it is in. */
export function Crumbs({ share, path, above }: { share: Share; path: string; above?: boolean }) {
  const names = path === "" ? [] : path.split("/");
  const steps = [
    { text: "Catalogs", href: "/catalogs" },
    { text: `${plain(share.ownerHandle)} / ${plain(share.name)}`, href: catalogHref(share.ownerHandle, share.catalog) },
    ...names.map((name, index) => ({ text: plain(name), href: catalogHref(share.ownerHandle, share.catalog, names.slice(0, index + 1).join("/")) })),
  ];
  return (
    <nav class="crumbs" aria-label="Where this is">
      <ol class="crumb-list">
        {steps.map((step, index) => (
          <li key={step.href} class="crumb">
            <a href={step.href} aria-current={index === steps.length - 1 && !above ? "page" : undefined}>
              <bdi>{step.text}</bdi>
            </a>
            {index < steps.length - 1 && <Icon name="right" size={14} />}
          </li>
        ))}
      </ol>
    </nav>
  );
}
