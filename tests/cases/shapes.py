"""Holds replies against what /openapi.json says of them: every field described, none missing, none of another type.

Knows the part of JSON Schema that our description of answers uses, and refuses the rest, so that nothing passes
unchecked. Standard library only.
"""

import json
import re

TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}
KNOWN = {"$ref", "type", "description", "properties", "required", "additionalProperties", "items", "const", "enum", "anyOf"}


class Shapes:
    def __init__(self, document):
        self.paths = [(re.compile("^" + re.sub(r"\\{[^/]+\\}", ".+", re.escape(path)) + "$"), path, operations)
                      for path, operations in document["paths"].items()]
        self.schemas = document["components"]["schemas"]

    def problems(self, method, target, status, content_type, body):
        """What is wrong with a reply, [] for nothing; routes that are not described answer errors alone."""
        content_type = content_type.split(";")[0]
        path = target.split("?")[0]
        fitting = [(len(name), operations) for pattern, name, operations in self.paths if pattern.match(path)]
        operation = max(fitting, key=lambda item: item[0])[1].get(method.lower()) if fitting else None
        if status != 200:
            return self.unlike({"$ref": "#/components/schemas/Error"}, json.loads(body), "error")
        if operation is None:
            return ["200 from a route that is not described"]
        described = operation["responses"]["200"]["content"]
        if content_type not in described:
            return [f"the content type is '{content_type}'; described are {sorted(described)}"]
        schema = described[content_type]["schema"]
        if content_type == "text/event-stream":
            events = [line.removeprefix("data: ") for line in body.split("\n") if line.startswith("data: {")]
            return [wrong for event in events for wrong in self.unlike(schema, json.loads(event), "event")]
        return self.unlike(schema, json.loads(body) if content_type == "application/json" else body, "answer")

    def unlike(self, schema, value, where):
        if unknown := set(schema) - KNOWN:
            return [f"{where}: the schema says {sorted(unknown)}, which this check does not know"]
        if "$ref" in schema:
            return self.unlike(self.schemas[schema["$ref"].rsplit("/", 1)[1]], value, where)
        if "anyOf" in schema:
            tries = [self.unlike(one, value, where) for one in schema["anyOf"]]
            return [] if [] in tries else min(tries, key=len)
        types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(TYPES[name](value) for name in types):
            return [f"{where} is {json.dumps(value)[:60]}, not {' or '.join(types)}"]
        if "const" in schema and value != schema["const"] or value not in schema.get("enum", [value]):
            return [f"{where} is {value!r}, not {schema.get('const') or schema['enum']}"]
        if isinstance(value, dict):
            return self.unlike_object(schema, value, where)
        if isinstance(value, list):
            return [wrong for i, item in enumerate(value) for wrong in self.unlike(schema["items"], item, f"{where}[{i}]")]
        return []

    def unlike_object(self, schema, value, where):
        fields, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        wrong = [f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value]
        for name, item in value.items():
            if name in fields:
                wrong += self.unlike(fields[name], item, f"{where}.{name}")
            elif others is False:
                wrong.append(f"{where}.{name} is not described")
            elif isinstance(others, dict):
                wrong += self.unlike(others, item, f"{where}.{name}")
        return wrong
