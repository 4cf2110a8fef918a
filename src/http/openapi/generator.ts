/** How @fastify/swagger makes the document from the zod schemas of the routes. */
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { completeDocument } from './document.ts';
import { openapiHead } from './head.ts';

/** zod leaves out the examples of a schema that transforms, since they could be of its input or its output. Ours are inputs. */
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
    // `const` is a keyword of JSON Schema, and valid in OpenAPI 3.1.
    convertConstToEnum: false,
  };
}
