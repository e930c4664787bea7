// Names (docs/protocol/keys.md#names).

import { need, utf8 } from "./bytes.ts";

// Letters, marks, digits and what NFKC makes such that Unicode has assigned after version 15.0:
// to this protocol they are no characters yet, whatever this engine knows of them.
const later: readonly (readonly [number, number])[] = [
  [0x88f, 0x88f], [0x897, 0x897], [0xc5c, 0xc5c], [0xcdc, 0xcdc], [0x1acf, 0x1add], [0x1ae0, 0x1aeb], [0x1c89, 0x1c8a],
  [0xa7cb, 0xa7cf], [0xa7d2, 0xa7d2], [0xa7d4, 0xa7d4], [0xa7da, 0xa7dc], [0xa7f1, 0xa7f1], [0x105c0, 0x105f3],
  [0x10940, 0x10959], [0x10d40, 0x10d65], [0x10d69, 0x10d6d], [0x10d6f, 0x10d85], [0x10ec2, 0x10ec7], [0x10efa, 0x10efc],
  [0x11380, 0x113e2], [0x116d0, 0x116e3], [0x11b60, 0x11b67], [0x11bc0, 0x11bf9], [0x11db0, 0x11de9], [0x11f5a, 0x11f5a],
  [0x13460, 0x143fa], [0x16100, 0x16139], [0x16d40, 0x16d79], [0x16ea0, 0x16ed3], [0x16ff2, 0x16ff3], [0x187f8, 0x187ff],
  [0x18cff, 0x18cff], [0x18d09, 0x18d1e], [0x18d80, 0x18df2], [0x1ccd6, 0x1ccf9], [0x1e5d0, 0x1e5fa], [0x1e6c0, 0x1e6ff],
  [0x2b73a, 0x2b73f], [0x2cea2, 0x2cead], [0x2ebf0, 0x2ee5d], [0x323b0, 0x33479],
];

const scripts: readonly (readonly [string, RegExp])[] = (
  "Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Brahmi Buginese " +
  "Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Coptic Cuneiform Cypriot Cypro_Minoan " +
  "Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Georgian Glagolitic " +
  "Gothic Grantha Greek Gujarati Gunjala_Gondi Gurmukhi Hanifi_Rohingya Hanunoo Hatran Hebrew Imperial_Aramaic " +
  "Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khmer " +
  "Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean " +
  "Marchen Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro " +
  "Multani Myanmar Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki " +
  "Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Oriya " +
  "Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra " +
  "Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa " +
  "Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi " +
  "Wancho Warang_Citi Yezidi Yi Zanabazar_Square"
)
  .split(" ")
  .map((name) => [name, new RegExp(`^\\p{Script=${name}}$`, "u")]);

// Writing systems that mix scripts.
const mixed: readonly (readonly [RegExp, readonly string[]])[] = [
  [/^\p{Script=Han}$/u, ["Han", "Japanese", "Korean", "HanBopomofo"]],
  [/^[\p{Script=Hiragana}\p{Script=Katakana}]$/u, ["Japanese"]],
  [/^\p{Script=Hangul}$/u, ["Korean"]],
  [/^\p{Script=Bopomofo}$/u, ["HanBopomofo"]],
];

/** writing is the set of writing systems of a letter or digit; null where it is of all. */
function writing(character: string): readonly string[] | null {
  if (/^[\p{Script=Common}\p{Script=Inherited}]$/u.test(character)) return null;
  for (const [script, systems] of mixed) if (script.test(character)) return systems;
  const found = scripts.find(([, script]) => script.test(character));
  return found ? [found[0]] : null;
}

/** fold is full case folding (CaseFolding.txt, C and F) of one character. */
function fold(character: string): string {
  if (character === "\u0131") return character; // its capital is I, but it does not fold to i
  if (/^\p{Script=Cherokee}$/u.test(character)) return character.toUpperCase(); // folds to capitals
  const capitals = Array.from(character.toLowerCase(), (c) => c.toUpperCase()).join("");
  return Array.from(capitals, (c) => c.toLowerCase()).join("");
}

const isLater = (code: number) => later.some(([first, last]) => code >= first && code <= last);

/** name is the normal form of a text, or a refusal. */
export function name(text: string): string {
  need(text.isWellFormed() && utf8(text).length <= 256, "name", "length");
  for (const character of text) need(!isLater(character.codePointAt(0)!), "name", "assigned after Unicode 15.0");
  const normal = Array.from(text.normalize("NFKC"), fold).join("").normalize("NFKC");
  const characters = Array.from(normal);
  need(characters.length >= 1 && characters.length <= 32 && utf8(normal).length <= 64, "name", "length");
  let systems: readonly string[] | null = null;
  let previous = "";
  for (const character of characters) {
    need(!/^[\p{Default_Ignorable_Code_Point}\p{Variation_Selector}]$/u.test(character), "name", "shown as nothing");
    need(character !== "\u0307" || !/^\p{Soft_Dotted}$/u.test(previous), "name", "a dot on a letter that has one");
    const isMark = /^\p{M}$/u.test(character);
    const isDigit = /^\p{Nd}$/u.test(character);
    const of = isMark ? null : writing(character);
    if (isMark) need(/^[\p{L}\p{M}]$/u.test(previous), "name", "a mark that follows no letter");
    else if (isDigit) need(/^[0-9]$/.test(character) || of !== null, "name", "a digit of no script");
    else if (!/^\p{L}$/u.test(character)) need(previous !== "" && /^[-_]$/.test(character), "name", "alphabet");
    if (of !== null) {
      systems = systems === null ? of : systems.filter((system) => of.includes(system)) as readonly string[];
      need(systems.length > 0, "name", "letters of several scripts");
    }
    previous = character;
  }
  return normal;
}

/** isName reports whether a text is a name in its normal form. */
export function isName(text: string): boolean {
  if (/^[a-z0-9][a-z0-9_-]{0,31}$/.test(text)) return true; // as nearly all are
  try {
    return name(text) === text;
  } catch {
    return false;
  }
}
