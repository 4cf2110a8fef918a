/** Event types in requests: each by its name, or all types of a noun, as `email.*`. */
import { z } from 'zod';
import { type EventType, eventTypes } from './event.ts';

const nouns = [...new Set(eventTypes.map(nounOf))];
const patterns = [...eventTypes, ...nouns.map((noun) => `${noun}.*`)] as const;

/** What a pattern means, for the API document. */
export const patternWords = '`email.*` means all types that begin with `email.`.';

/** The types that were asked for, each once. */
export const askedTypes = z
  .array(z.enum(patterns))
  .min(1)
  .transform((asked): EventType[] => [...new Set(asked.flatMap(typesBy))]);

function typesBy(pattern: string): EventType[] {
  return eventTypes.filter((type) => pattern === type || pattern === `${nounOf(type)}.*`);
}

function nounOf(type: EventType): string {
  return type.slice(0, type.indexOf('.'));
}
