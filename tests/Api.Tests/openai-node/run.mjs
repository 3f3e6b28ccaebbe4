// Talks to a server with OpenAI's own client for Node and prints what that client understood, as one JSON object.
// node run.mjs BASE_URL API_KEY
import OpenAI from 'openai';

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const model = 'tiny';
const messages = [{ role: 'user', content: 'Hi' }];
const tools = [{
  type: 'function',
  function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
}];

async function failure(action) {
  try {
    await action();
    return null;
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param, message: error.message };
  }
}

const seen = {};

const whole = await client.chat.completions.create({ model, messages });
seen.whole = { content: whole.choices[0].message.content, finish: whole.choices[0].finish_reason, usage: whole.usage.total_tokens };

seen.deltas = [];
const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
for await (const chunk of stream) {
  for (const choice of chunk.choices) {
    seen.deltas.push(choice.finish_reason ?? choice.delta.content);
  }
  if (chunk.usage) {
    seen.streamUsage = chunk.usage.total_tokens;
  }
}

const called = await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'call' }], tools });
seen.calls = called.choices[0].message.tool_calls.map(call => [call.type, call.function.name, JSON.parse(call.function.arguments)]);
seen.callsFinish = called.choices[0].finish_reason;

const runner = client.chat.completions.stream({ model, messages: [{ role: 'user', content: 'call' }], tools });
const final = await runner.finalChatCompletion();
seen.streamedCalls = final.choices[0].message.tool_calls.map(
  call => [call.type, call.function.name, JSON.parse(call.function.arguments)]);
seen.streamedCallIds = final.choices[0].message.tool_calls.every(call => /^call_[0-9a-f]{24}$/.test(call.id));
seen.streamedFinish = final.choices[0].finish_reason;

const thought = await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'think' }] });
seen.thought = [thought.choices[0].message.reasoning_content, thought.choices[0].message.content];

const completion = await client.completions.create({ model, prompt: 'Hi' });
seen.completion = completion.choices[0].text;

const listed = [];
for await (const entry of client.models.list()) {
  listed.push(entry.id);
}
seen.models = listed;

seen.unknownModel = await failure(() => client.chat.completions.create({ model: 'gpt-9', messages }));
seen.badRequest = await failure(() => client.chat.completions.create({ model, messages, temperature: -1 }));
seen.wrongKey = await failure(() => new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 }).models.list());
seen.broken = await failure(async () => {
  const broken = await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'break' }], stream: true });
  for await (const chunk of broken) {
    seen.beforeBreak ??= chunk.choices[0].delta.role;
  }
});

const abandoned = await client.chat.completions.create({ model, messages: [{ role: 'user', content: 'endless' }], stream: true });
for await (const chunk of abandoned) {
  if (chunk.choices[0].delta.content) {
    break;
  }
}

console.log(JSON.stringify(seen));
