/**
 * Texts kept in pieces: letters of one template share the pieces that do not vary, and what is computed from a piece is used for all of them.
 */
import type { Content } from './email.ts';

/** The text is the sequence of its pieces, none of which is empty. */
export type Woven = readonly string[];

/** The content of an email whose texts are still in pieces. */
export type WovenContent = ContentIn<Woven>;

/** A text as one string, or in pieces. */
export type Text = string | Woven;
export type AnyContent = ContentIn<Text>;

type ContentIn<Form> = Omit<Content, 'html' | 'text'> & { readonly html: Form | null; readonly text: Form | null };

export function woven(text: string): Woven {
  return text === '' ? [] : [text];
}

export function whole(pieces: Woven | null): string | null {
  return pieces === null ? null : pieces.join('');
}

export function wholeContent({ html, text, ...rest }: WovenContent): Content {
  return { html: whole(html), text: whole(text), ...rest };
}
