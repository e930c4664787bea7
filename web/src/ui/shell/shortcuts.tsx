import { active } from "../parts/keys.ts";
import { Dialog } from "../parts/dialog.tsx";

/** Shortcuts lists the keys that do something on this page. */
export function Shortcuts({ onClose }: { onClose(): void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {active.value.flat().map(({ keys, does }) => (
          <div key={keys}>
            <dt>{does}</dt>
            <dd>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
      <p class="quiet small">They rest while you write. Tab goes through everything on a page, Escape closes what is open.</p>
    </Dialog>
  );
}
