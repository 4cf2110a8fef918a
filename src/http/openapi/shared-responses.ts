/** Writes error responses that several operations share once, under `components/responses`. That halves the document. */
import { STATUS_CODES } from 'node:http';
import { mapValues } from './answers.ts';
import type { ApiDocument, Operation, Ref, Response } from './document.ts';

type SharingOperation = Omit<Operation, 'responses'> & {
  readonly responses: Readonly<Record<string, Response | Ref>>;
};

/** The document as it is published: each response of an operation is written there, or is a reference to a shared one. */
export type PublishedDocument = Omit<ApiDocument, 'paths' | 'components'> & {
  readonly paths: Readonly<Record<string, Readonly<Record<string, SharingOperation>>>>;
  readonly components: ApiDocument['components'] & { readonly responses: Readonly<Record<string, Response>> };
};

export function shareResponses(document: ApiDocument): PublishedDocument {
  const shared = sharedIn(document);
  const refer = (response: Response): Response | Ref => {
    const name = shared.get(JSON.stringify(response));
    return name === undefined ? response : { $ref: `#/components/responses/${name}` };
  };
  const responses = [...shared].map(([text, name]): [string, Response] => [name, JSON.parse(text)]);
  return {
    ...document,
    paths: mapValues(document.paths, (methods) =>
      mapValues(methods, (operation) => ({ ...operation, responses: mapValues(operation.responses, refer) })),
    ),
    components: { ...document.components, responses: Object.fromEntries(responses) },
  };
}

/** The names of shared error responses, by their JSON: the words of the status, with a number when a status has several. */
function sharedIn({ paths }: ApiDocument): Map<string, string> {
  const met = new Set<string>();
  const names = new Map<string, string>();
  const count = new Map<string, number>();
  for (const { responses } of Object.values(paths).flatMap((methods) => Object.values(methods))) {
    for (const [status, response] of Object.entries(responses).filter(([status]) => Number(status) >= 400)) {
      const text = JSON.stringify(response);
      if (met.has(text) && !names.has(text)) {
        const name = (STATUS_CODES[status] ?? `Status${status}`).replaceAll(/\W/g, '');
        const number = (count.get(name) ?? 0) + 1;
        count.set(name, number);
        names.set(text, number === 1 ? name : `${name}${number}`);
      }
      met.add(text);
    }
  }
  return names;
}
