/** Examples with a name and a summary. A route gives them as `x-examples`; the document shows them at the body or answer they belong to. */
import { mapValues } from './answers.ts';
import type { ApiDocument, Example, Media, Operation } from './document.ts';

/** By name. An example with a media type belongs to that type only. */
export type Examples = Readonly<Record<string, Required<Example> & { readonly media?: string }>>;

/** For the body, and for answers by their status. */
export type RouteExamples = { readonly body?: Examples } & { readonly [status: number]: Examples };

declare module 'fastify' {
  interface FastifySchema {
    'x-examples'?: RouteExamples;
  }
}

/** @throws when a route has an example of a body or status that it does not have */
export function placeExamples(document: ApiDocument): ApiDocument {
  return { ...document, paths: mapValues(document.paths, (methods) => mapValues(methods, placeInOperation)) };
}

function placeInOperation({ 'x-examples': given = {}, ...operation }: Operation): Operation {
  const { body, ...answers } = given;
  const place = <P extends { readonly content?: Readonly<Record<string, Media>> }>(
    part: P | undefined,
    examples: Examples,
  ): P => {
    if (part?.content === undefined) throw new Error(`${operation.operationId} has an example of nothing it has`);
    return { ...part, content: mapValues(part.content, (media, type) => withExamples(media, ofType(examples, type))) };
  };
  const answered = Object.entries(answers).map(([status, examples]) => [
    status,
    place(operation.responses[status], examples),
  ]);
  return {
    ...operation,
    ...(body === undefined ? {} : { requestBody: place(operation.requestBody, body) }),
    responses: { ...operation.responses, ...Object.fromEntries(answered) },
  };
}

function ofType(examples: Examples, type: string): Readonly<Record<string, Example>> {
  const those = Object.entries(examples).filter(([, { media = type }]) => media === type);
  return Object.fromEntries(those.map(([name, { media: _, ...example }]) => [name, example]));
}

function withExamples(media: Media, examples: Readonly<Record<string, Example>>): Media {
  return { ...media, examples: { ...media.examples, ...examples } };
}
