// Markdown text to marked's tokens, within bounds that hostile text cannot pass. What cannot be read is a token of plain text:
// nothing here throws, and no paragraph costs more than kInlineMax squared.

import { Lexer, type Token } from "marked";

/** Characters of one paragraph beyond which its insides are plain text; marked's rules for emphasis are quadratic. */
export const kInlineMax = 16_384;
/** Characters of one message beyond which all of it is plain text. */
export const kMarkdownMax = 512 * 1024;

export interface Lexed {
  tokens: Token[];
  /** Whether the text defines links by reference, which can change what stands before them. */
  defines: boolean;
}

export function lexed(text: string): Lexed {
  if (text.length <= kMarkdownMax) {
    try {
      const lexer = new Lexer({ gfm: true });
      lexer.blockTokens(text, lexer.tokens);
      for (const { src, tokens } of lexer.inlineQueue) {
        if (src.length <= kInlineMax) lexer.inlineTokens(src, tokens);
        else tokens.push({ type: "text", raw: src, text: src });
      }
      return { tokens: [...lexer.tokens], defines: Object.keys(lexer.tokens.links).length > 0 };
    } catch {
      // thousands of nested quotations end marked's recursion
    }
  }
  return { tokens: [{ type: "plain", raw: text, text }], defines: false };
}
