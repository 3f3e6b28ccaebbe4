// Talks to the demo model with OpenAI's own client for Node; greedy, so that the answers are known.
// node demo.mjs BASE_URL
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.argv[2], apiKey: 'none', maxRetries: 0 });
const model = 'default';
const question = [{ role: 'user', content: 'What is the capital of France?' }];
const whole = (await client.chat.completions.create({ model, messages: question, temperature: 0 })).choices[0].message.content;

let streamed = '';
for await (const chunk of await client.chat.completions.create({ model, messages: question, temperature: 0, stream: true })) {
  streamed += chunk.choices[0]?.delta?.content ?? '';
}

const runner = client.chat.completions.stream({
  model,
  temperature: 0,
  messages: [{ role: 'user', content: 'How is the weather in Hanoi and in Amsterdam?' }],
  tools: [{
    type: 'function',
    function: {
      name: 'weather',
      description: 'Get current weather',
      parameters: {
        type: 'object',
        properties: {
          city: { type: 'string', description: 'The city' },
          unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
        },
        required: ['city'],
      },
    },
  }],
});
const called = (await runner.finalChatCompletion()).choices[0];

let refused = null;
try {
  await client.chat.completions.create({ model: 'gpt-9', messages: question });
} catch (error) {
  refused = error.status;
}

console.log(JSON.stringify({
  whole: whole.trim(),
  same: whole === streamed,
  calls: called.message.tool_calls.map(call => [call.function.name, JSON.parse(call.function.arguments)]),
  finish: called.finish_reason,
  refused,
}));
