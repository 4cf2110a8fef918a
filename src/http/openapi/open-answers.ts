/** Leaves open what answers and events may have: fields are added later, and a client must go on with them. */
import { mapValues } from './answers.ts';
import type { ApiDocument } from './document.ts';
import { reach } from './schemas.ts';

/** What a request may have stays closed, also where an answer has the same schema. */
export function openAnswers(document: ApiDocument): ApiDocument {
  const { paths, webhooks = {}, components } = document;
  const { schemas = {} } = components;
  const bodies = Object.values(paths).flatMap((methods) =>
    Object.values(methods).map(({ requestBody }) => requestBody),
  );
  const given = reach(bodies, schemas);
  return {
    ...document,
    paths: mapValues(paths, (methods) =>
      mapValues(methods, (operation) => ({ ...operation, responses: opened(operation.responses) })),
    ),
    webhooks: opened(webhooks),
    components: {
      ...components,
      schemas: mapValues(schemas, (schema, name) => (given.has(name) ? schema : opened(schema))),
    },
  };
}

function opened<T>(part: T): T {
  return JSON.parse(JSON.stringify(part), (key, value: unknown) =>
    key === 'additionalProperties' && value === false ? undefined : value,
  );
}
