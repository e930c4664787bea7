import { theme, type Theme } from "../look.ts";
import { Choices, Icon } from "../parts/index.ts";
import { Section } from "./section.tsx";

/** Look is how the hall looks in this browser. */
export function Look() {
  return (
    <Section title="Day and night" lead="Kept in this browser alone.">
      <Choices<Theme>
        legend="Colours"
        value={theme.value}
        onValue={(chosen) => (theme.value = chosen)}
        options={[
          { key: "system", title: <Titled icon="contrast" text="As the system" />, note: "By day and by night" },
          { key: "light", title: <Titled icon="sun" text="Light" />, note: "Stone and daylight" },
          { key: "dark", title: <Titled icon="moon" text="Dark" />, note: "Lamps are lit" },
        ]}
      />
      <p class="quiet">
        Movement follows your system: where it asks for less, there is none. Press <kbd>?</kbd> for the keys that work here.
      </p>
    </Section>
  );
}

function Titled({ icon, text }: { icon: "contrast" | "sun" | "moon"; text: string }) {
  return (
    <>
      <Icon name={icon} />
      {text}
    </>
  );
}
