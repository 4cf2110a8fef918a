/** Texts in pieces, as they were made: letters of one template share the pieces that do not vary, and what is worked out of a piece serves them all. */
import type { Content } from './email.ts';

/** The text is its pieces, one after the other. None of them is empty. */
export type Woven = readonly string[];

/** What is sent of an email whose texts are in pieces still. */
export type WovenContent = ContentIn<Woven>;

/** A text, whole or in pieces. */
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
