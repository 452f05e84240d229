// Colours for code: comments, strings, numbers and the words that most languages share. One pass of one expression, no grammar;
// what it does not know stays plain. It only makes text nodes and spans.

/** Characters of code beyond which it stays plain. */
const kColouredMax = 60_000;

const WORDS = new Set(
  `abstract and as async await bool boolean break case catch char class const constexpr continue def default del delete do double elif else
  end enum except export extends extern false False final finally float fn for foreach from func function global go goto if impl implements
  import in include inline instanceof int interface is lambda let long loop match mod module move mut namespace new nil None not null
  nullptr of operator or override package pass private protected pub public raise ref return select self short signed sizeof static
  string struct super switch template then this throw trait true True try type typedef typename typeof undefined union unless unsafe
  unsigned until use using var virtual void volatile when where while with yield
  SELECT FROM WHERE INSERT INTO VALUES UPDATE SET DELETE CREATE TABLE JOIN LEFT RIGHT INNER ON GROUP BY ORDER LIMIT AS AND OR NOT NULL`.split(/\s+/),
);
const HASH_COMMENTS = /^(py|python|rb|ruby|sh|bash|shell|zsh|console|yaml|yml|toml|ini|conf|make|makefile|dockerfile|r|perl|pl|cmake|elixir)$/i;
const PLAIN = /^(text|txt|plain|plaintext|markdown|md|diff|patch|output|log|)$/i;

export function coloured(code: string, language: string): Node[] {
  if (code.length > kColouredMax || PLAIN.test(language)) return [document.createTextNode(code)];
  const comment = HASH_COMMENTS.test(language) ? "#[^\\n]*" : language.toLowerCase() === "sql" ? "--[^\\n]*|/\\*[^]*?(?:\\*/|$)"
    : "//[^\\n]*|/\\*[^]*?(?:\\*/|$)" + (/^(html|xml|svg)$/i.test(language) ? "|<!--[^]*?(?:-->|$)" : "");
  const piece = new RegExp(`(${comment})|("(?:\\\\.|[^"\\\\\\n])*"?|'(?:\\\\.|[^'\\\\\\n])*'?|\`(?:\\\\.|[^\`\\\\])*\`?)|(\\b\\d[\\w.]*)|([A-Za-z_]\\w*)`, "g");
  const nodes: Node[] = [];
  let plain = 0;
  const put = (from: number, to: number, kind: string) => {
    if (from > plain) nodes.push(document.createTextNode(code.slice(plain, from)));
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = code.slice(from, to);
    nodes.push(span);
    plain = to;
  };
  for (const found of code.matchAll(piece)) {
    const kind = found[1] ? "code-comment" : found[2] ? "code-string" : found[3] ? "code-number" : WORDS.has(found[4] ?? "") ? "code-word" : "";
    if (kind) put(found.index, found.index + found[0].length, kind);
  }
  if (plain < code.length) nodes.push(document.createTextNode(code.slice(plain)));
  return nodes;
}
