/** How @fastify/swagger makes the document of the routes' zod schemas. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { completeDocument } from './document.ts';
import { openapiHead } from './head.ts';

/** zod leaves out the examples of a schema that transforms, as they could be of either side; ours are of what is sent. */
const zodToJsonConfig: Pick<z.core.ToJSONSchemaParams, 'override'> = {
  override({ zodSchema, jsonSchema }) {
    const examples = z.globalRegistry.get(zodSchema)?.examples;
    if (Array.isArray(examples)) jsonSchema.examples = examples;
  },
};

export function generatorOptions(version: string): FastifyDynamicSwaggerOptions {
  const addSchemas = createJsonSchemaTransformObject({ zodToJsonConfig });
  return {
    openapi: openapiHead(version),
    transform: createJsonSchemaTransform({ zodToJsonConfig }),
    transformObject: (document): object => completeDocument(addSchemas(document)),
    // JSON Schema's own keyword, which 3.1 has.
    convertConstToEnum: false,
  };
}
