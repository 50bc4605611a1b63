// The documentation page: reads /openapi.json and shows it, operation by operation.
"use strict";
const VERBS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
const find = id => document.getElementById(id);
let api;

function make(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

function resolve(schema) {
  for (let steps = 0; schema && schema.$ref && steps < 20; steps++)
    schema = schema.$ref.slice(2).split("/").reduce((at, part) =>
      at && at[part.replace(/~1/g, "/").replace(/~0/g, "~")], api);
  return schema || {};
}

function shortName(schema) {
  return schema.$ref ? schema.$ref.split("/").pop().split(".").pop() : "";
}

function describe(schema) {
  if (schema.$ref) return shortName(schema);
  if (schema.anyOf) return schema.anyOf.map(describe).join(" or ");
  if (schema.type === "array") return "list of " + (describe(schema.items || {}) || "values");
  if (schema.type === "object" && schema.additionalProperties && schema.additionalProperties !== true)
    return "map of " + describe(schema.additionalProperties);
  let text = schema.enum ? "" : [].concat(schema.type || "anything").join(" or ");
  if (schema.format) text += " (" + schema.format + ")";
  return text;
}

function limits(schema) {
  const found = [];
  if (schema.enum) {
    const names = schema.enum.filter(value => typeof value === "string");
    found.push("one of " + (names.length ? names : schema.enum.filter(value => value !== null)).join(", "));
  }
  if (schema.minimum !== undefined || schema.maximum !== undefined)
    found.push((schema.minimum ?? "…") + " to " + (schema.maximum ?? "…"));
  if (schema.minLength !== undefined || schema.maxLength !== undefined)
    found.push((schema.minLength ?? 0) + " to " + (schema.maxLength ?? "…") + (schema["x-maxBytes"] ? " bytes" : " characters"));
  if (schema.minItems !== undefined || schema.maxItems !== undefined)
    found.push((schema.minItems ?? 0) + " to " + (schema.maxItems ?? "…") + " items");
  if (schema.pattern) found.push("matches " + schema.pattern);
  const inner = schema.items && limits(schema.items);
  if (inner) found.push(inner);
  return found.join("; ");
}

function innerOf(schema) {
  const candidates = [schema, schema.items, schema.additionalProperties, ...(schema.anyOf || [])];
  for (const candidate of candidates) {
    const inner = candidate && typeof candidate === "object" ? resolve(candidate) : {};
    if (inner.properties && Object.keys(inner.properties).length) return inner;
  }
  return null;
}

function fields(schema, seen) {
  const inner = innerOf(schema);
  if (!inner) return null;
  const table = make("div", {className: "fields"});
  const required = new Set(inner.required || []);
  for (const [name, property] of Object.entries(inner.properties))
    table.append(...row(name, property, required.has(name), property.description || resolve(property).description, seen.concat(inner)));
  return table;
}

function row(name, schema, must, description, seen, where) {
  const below = innerOf(schema);
  const value = make("div", {}, make("div", {className: "type"},
    [where, describe(schema), limits(schema.$ref ? resolve(schema) : schema), schema.readOnly ? "only in answers" : ""].filter(Boolean).join(" · ")));
  if (description) value.append(make("div", {textContent: description}));
  if (below && !seen.includes(below)) {
    const more = make("details", {className: "inner"}, make("summary", {textContent: "Fields of " + name}));
    more.addEventListener("toggle", () => { if (more.open && more.children.length < 2) more.append(fields(schema, seen)); });
    value.append(more);
  }
  return [make("div", {className: "name"}, name, must ? make("span", {className: "must", textContent: " required"}) : null), value];
}

function quote(text) { return "'" + String(text).replace(/'/g, "'\\''") + "'"; }

function requestOf(operation, path, verb, form) {
  const headers = {};
  const query = new URLSearchParams();
  let target = path;
  for (const input of form.querySelectorAll("[data-in]")) {
    const value = input.value;
    if (input.dataset.in === "path") target = target.replace("{" + input.dataset.name + "}", encodeURIComponent(value));
    else if (value === "") continue;
    else if (input.dataset.in === "query") query.append(input.dataset.name, value);
    else headers[input.dataset.name] = value;
  }
  const token = find("token").value.trim();
  if (token) headers.Authorization = "Bearer " + token;
  const body = form.querySelector("textarea");
  if (body && body.value.trim()) headers["Content-Type"] = body.dataset.type;
  const accept = form.querySelector("select");
  if (accept) headers.Accept = accept.value;
  const text = query.toString();
  return {url: target + (text ? "?" + text : ""), method: verb.toUpperCase(), headers,
    body: body && body.value.trim() ? body.value : undefined};
}

function curl(request) {
  let text = "curl" + (request.method === "GET" ? "" : " -X " + request.method);
  for (const [name, value] of Object.entries(request.headers))
    text += " \\\n  -H " + (name === "Authorization" ? "\"Authorization: Bearer $TOKEN\"" : quote(name + ": " + value));
  if (request.body) text += " \\\n  -d " + quote(request.body);
  return text + " \\\n  " + quote(location.origin + request.url);
}

async function send(request, output) {
  output.textContent = "…";
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 15000);
  try {
    const answer = await fetch(request.url, {...request, signal: stop.signal});
    const type = answer.headers.get("content-type") || "";
    let text = /json|text/.test(type) ? await answer.text() : (await answer.arrayBuffer()).byteLength + " bytes of " + (type || "nothing");
    if (/application\/json/.test(type)) try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* as it is */ }
    output.textContent = answer.status + " " + answer.statusText + "\n\n" + text;
  } catch (error) {
    output.textContent = error.name === "AbortError" ? "no end within 15 seconds" : String(error);
  }
  clearTimeout(timer);
}

function tryIt(operation, path, verb) {
  const form = make("form", {});
  const table = make("div", {className: "fields"});
  for (const parameter of operation.parameters || []) {
    const input = make("input", {spellcheck: false, placeholder: parameter.example ?? describe(parameter.schema || {})});
    input.setAttribute("aria-label", parameter.name);
    Object.assign(input.dataset, {in: parameter.in, name: parameter.name});
    if (parameter.in === "path" && parameter.example) input.value = parameter.example;
    table.append(make("div", {className: "name", textContent: parameter.name}), make("div", {}, input));
  }
  if (table.children.length) form.append(table);
  const content = Object.entries((operation.requestBody || {}).content || {})[0];
  if (content) {
    const body = make("textarea", {spellcheck: false, value: JSON.stringify(content[1].example ?? {}, null, 2)});
    body.dataset.type = content[0];
    body.setAttribute("aria-label", "body");
    form.append(make("h4", {textContent: "Body"}), body);
  }
  const types = Object.entries(operation.responses || {}).filter(([status]) => status < "3")
    .flatMap(([, response]) => Object.keys(response.content || {}));
  if (types.length > 1)
    form.append(make("p", {}, "Accept ", make("select", {}, ...types.map(type => make("option", {textContent: type})))));
  const line = make("pre", {}), output = make("pre", {hidden: true});
  const show = () => { line.textContent = curl(requestOf(operation, path, verb, form)); };
  form.addEventListener("input", show);
  form.addEventListener("submit", event => {
    event.preventDefault();
    show();
    output.hidden = false;
    send(requestOf(operation, path, verb, form), output);
  });
  form.append(line, make("button", {textContent: "Send"}), output);
  show();
  return make("details", {className: "more"}, make("summary", {textContent: "Try it"}), form);
}

function responseOf(status, response) {
  response = resolve(response);
  const part = make("div", {}, make("p", {}, make("span", {className: "status", textContent: status + " "}), response.description || ""));
  for (const [name, header] of Object.entries(response.headers || {}))
    part.append(make("p", {className: "soft"}, make("span", {className: "name", textContent: name}), " " + (resolve(header).description || "")));
  for (const [type, content] of Object.entries(response.content || {})) {
    const below = make("details", {className: "inner"}, make("summary", {textContent: type + " " + describe(content.schema || {})}));
    const table = fields(content.schema || {}, []);
    if (table) below.append(table);
    if (content.example !== undefined)
      below.append(make("pre", {textContent: typeof content.example === "string" ? content.example : JSON.stringify(content.example, null, 2)}));
    part.append(below);
  }
  return part;
}

function operationOf(path, verb, operation) {
  const id = operation.operationId || verb + path;
  const box = make("details", {className: "operation", id}, make("summary", {},
    make("span", {className: "verb " + verb, textContent: verb}), make("span", {className: "path", textContent: path}),
    make("span", {className: "soft", textContent: operation.summary || ""})));
  const fill = () => {
    if (!box.open || box.children.length > 1) return;
    const body = make("div", {className: "body"});
    for (const paragraph of (operation.description || "").split("\n\n")) if (paragraph) body.append(make("p", {textContent: paragraph}));
    if ((operation.parameters || []).length) {
      const table = make("div", {className: "fields"});
      for (const parameter of operation.parameters)
        table.append(...row(parameter.name, parameter.schema || {}, parameter.required, parameter.description, [], "in " + parameter.in));
      body.append(make("h4", {textContent: "Parameters"}), table);
    }
    for (const [type, content] of Object.entries((operation.requestBody || {}).content || {}))
      body.append(make("h4", {}, "Request body ", make("span", {className: "type", textContent: type + " · " + describe(content.schema || {})})),
        fields(content.schema || {}, []) || "");
    body.append(tryIt(operation, path, verb), make("h4", {textContent: "Answers"}));
    for (const [status, response] of Object.entries(operation.responses || {})) body.append(responseOf(status, response));
    box.append(body);
  };
  box.addEventListener("toggle", fill);
  return box;
}

function openTarget() {
  const target = location.hash && find(decodeURIComponent(location.hash.slice(1)));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
}

function show() {
  document.title = find("title").textContent = api.info.title;
  find("version").textContent = api.info.version;
  const groups = new Map((api.tags || []).map(tag => [tag.name, {text: tag.description || "", operations: []}]));
  for (const [path, item] of Object.entries(api.paths || {}))
    for (const verb of VERBS.filter(name => item[name])) {
      const tag = (item[verb].tags || ["API"])[0];
      if (!groups.has(tag)) groups.set(tag, {text: "", operations: []});
      groups.get(tag).operations.push([path, verb, item[verb]]);
    }
  const main = find("main"), nav = find("nav");
  main.replaceChildren();
  if (api.info.description) main.append(make("p", {textContent: api.info.description}));
  for (const [tag, group] of groups) {
    if (!group.operations.length) continue;
    nav.append(make("h2", {textContent: tag}));
    const section = make("section", {}, make("h2", {textContent: tag}), make("p", {className: "soft", textContent: group.text}));
    for (const [path, verb, operation] of group.operations) {
      section.append(operationOf(path, verb, operation));
      nav.append(make("a", {href: "#" + (operation.operationId || verb + path), title: verb.toUpperCase() + " " + path},
        make("span", {className: "verb " + verb, textContent: verb}), make("span", {textContent: operation.summary || path})));
    }
    main.append(section);
  }
  openTarget();
}

addEventListener("hashchange", openTarget);
fetch("/openapi.json").then(answer => answer.json()).then(document => { api = document; show(); })
  .catch(error => { find("main").textContent = "The description cannot be read: " + error; });
