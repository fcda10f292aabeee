-- google-adk 2.13.0, google-genai 2.34.0
BEGIN TRANSACTION;
CREATE TABLE app_states (
    app_name TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    update_time REAL NOT NULL
);
INSERT INTO "app_states" VALUES('forecast','{"version": 3}',1.79589955845210361476e+09);
CREATE TABLE events (
    id TEXT NOT NULL,
    app_name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    invocation_id TEXT NOT NULL,
    timestamp REAL NOT NULL,
    event_data TEXT NOT NULL,
    PRIMARY KEY (app_name, user_id, session_id, id),
    FOREIGN KEY (app_name, user_id, session_id) REFERENCES sessions(app_name, user_id, id) ON DELETE CASCADE
);
INSERT INTO "events" VALUES('5a017c56-f8c0-44dc-8773-e9c23b2e4e1c','forecast','ada','s-1','e-7c5ff99e-6ded-496c-9017-f4a3a7ab46ad',1.79589956776631164549e+09,'{"content":{"parts":[{"text":"The weather in Zürich and 橋本?"}],"role":"user"},"invocation_id":"e-7c5ff99e-6ded-496c-9017-f4a3a7ab46ad","author":"user","actions":{"state_delta":{},"artifact_delta":{},"requested_auth_configs":{},"requested_tool_confirmations":{}},"node_info":{"path":""},"id":"5a017c56-f8c0-44dc-8773-e9c23b2e4e1c","timestamp":1795899567.7663116}');
INSERT INTO "events" VALUES('a9e32d9c-5475-4394-9ecc-88800704e1d1','forecast','ada','s-1','e-7c5ff99e-6ded-496c-9017-f4a3a7ab46ad',1.79589956909344816205e+09,'{"content":{"parts":[{"text":"Two cities.","thought":true,"thought_signature":"c2lnbmVk"},{"function_call":{"id":"adk-ffc2781d-4e64-4e2d-8fb5-5f7130f5bc64","args":{"city":"Zürich"},"name":"weather"}},{"function_call":{"id":"adk-4ffb8535-bb47-4957-90c8-2965a34c75af","args":{"city":"橋本"},"name":"weather"}}],"role":"model"},"usage_metadata":{"cached_content_token_count":2,"candidates_token_count":4,"prompt_token_count":21,"total_token_count":25},"invocation_id":"e-7c5ff99e-6ded-496c-9017-f4a3a7ab46ad","author":"weatherman","actions":{"state_delta":{},"artifact_delta":{},"requested_auth_configs":{},"requested_tool_confirmations":{}},"node_info":{"path":"weatherman@1"},"long_running_tool_ids":[],"id":"a9e32d9c-5475-4394-9ecc-88800704e1d1","timestamp":1795899569.0934482}');
INSERT INTO "events" VALUES('b3f63af0-a301-4757-bf69-4edd4f45a35b','forecast','ada','s-1','e-7c5ff99e-6ded-496c-9017-f4a3a7ab46ad',1.79589956916814684866e+09,'{"content":{"parts":[{"function_response":{"id":"adk-ffc2781d-4e64-4e2d-8fb5-5f7130f5bc64","name":"weather","response":{"city":"Zürich","degrees":21}}},{"function_response":{"id":"adk-4ffb8535-bb47-4957-90c8-2965a34c75af","name":"weather","response":{"city":"橋本","degrees":21}}}],"role":"user"},"invocation_id":"e-7c5ff99e-6ded-496c-9017-f4a3a7ab46ad","author":"weatherman","actions":{"state_delta":{},"artifact_delta":{},"requested_auth_configs":{},"requested_tool_confirmations":{}},"node_info":{"path":"weatherman@1"},"id":"b3f63af0-a301-4757-bf69-4edd4f45a35b","timestamp":1795899569.1681468}');
INSERT INTO "events" VALUES('7de4684e-dea9-41f6-bbc2-a5ff9f725607','forecast','ada','s-1','e-7c5ff99e-6ded-496c-9017-f4a3a7ab46ad',1.79589956923362302782e+09,'{"content":{"parts":[{"text":"Both 21 °C."}],"role":"model"},"usage_metadata":{"cached_content_token_count":2,"candidates_token_count":4,"prompt_token_count":21,"total_token_count":25},"invocation_id":"e-7c5ff99e-6ded-496c-9017-f4a3a7ab46ad","author":"weatherman","actions":{"state_delta":{},"artifact_delta":{},"requested_auth_configs":{},"requested_tool_confirmations":{}},"node_info":{"path":"weatherman@1"},"id":"7de4684e-dea9-41f6-bbc2-a5ff9f725607","timestamp":1795899569.233623}');
INSERT INTO "events" VALUES('8b14de7e-cc5a-4320-853e-9c16b41850d3','forecast','ada','s-1','e-56091096-6bcf-47de-9a45-044b07f08bb0',1.79589956936254334452e+09,'{"content":{"parts":[{"text":"What is it?"},{"inline_data":{"data":"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk-M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==","mime_type":"image/png"}}],"role":"user"},"invocation_id":"e-56091096-6bcf-47de-9a45-044b07f08bb0","author":"user","actions":{"state_delta":{},"artifact_delta":{},"requested_auth_configs":{},"requested_tool_confirmations":{}},"node_info":{"path":""},"id":"8b14de7e-cc5a-4320-853e-9c16b41850d3","timestamp":1795899569.3625433}');
INSERT INTO "events" VALUES('7a0a14c5-2407-4c3a-8468-d85405fa19d7','forecast','ada','s-1','e-56091096-6bcf-47de-9a45-044b07f08bb0',1.79589956951616835597e+09,'{"content":{"parts":[{"text":"A pixel."}],"role":"model"},"usage_metadata":{"cached_content_token_count":2,"candidates_token_count":4,"prompt_token_count":21,"total_token_count":25},"invocation_id":"e-56091096-6bcf-47de-9a45-044b07f08bb0","author":"weatherman","actions":{"state_delta":{},"artifact_delta":{},"requested_auth_configs":{},"requested_tool_confirmations":{}},"node_info":{"path":"weatherman@1"},"id":"7a0a14c5-2407-4c3a-8468-d85405fa19d7","timestamp":1795899569.5161684}');
INSERT INTO "events" VALUES('f54a9d7b-0b07-4b14-b632-4452df4c1217','forecast','grace','s-1','e-37a7b760-5fdb-48c3-a2fd-8e12102ad52c',1.79589956959971618652e+09,'{"content":{"parts":[{"text":"I am Grace."}],"role":"user"},"invocation_id":"e-37a7b760-5fdb-48c3-a2fd-8e12102ad52c","author":"user","actions":{"state_delta":{},"artifact_delta":{},"requested_auth_configs":{},"requested_tool_confirmations":{}},"node_info":{"path":""},"id":"f54a9d7b-0b07-4b14-b632-4452df4c1217","timestamp":1795899569.5997162}');
INSERT INTO "events" VALUES('26f95beb-6006-47f8-a142-49e24cb792ac','forecast','grace','s-1','e-37a7b760-5fdb-48c3-a2fd-8e12102ad52c',1.79589956985020875925e+09,'{"content":{"parts":[{"text":"Hello Grace."}],"role":"model"},"usage_metadata":{"cached_content_token_count":2,"candidates_token_count":4,"prompt_token_count":21,"total_token_count":25},"invocation_id":"e-37a7b760-5fdb-48c3-a2fd-8e12102ad52c","author":"weatherman","actions":{"state_delta":{},"artifact_delta":{},"requested_auth_configs":{},"requested_tool_confirmations":{}},"node_info":{"path":"weatherman@1"},"id":"26f95beb-6006-47f8-a142-49e24cb792ac","timestamp":1795899569.8502088}');
CREATE TABLE sessions (
    app_name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    create_time REAL NOT NULL,
    update_time REAL NOT NULL,
    PRIMARY KEY (app_name, user_id, id)
);
INSERT INTO "sessions" VALUES('forecast','ada','s-1','{"unit": "celsius"}',1.79589955845210361476e+09,1.79589956951616835597e+09);
INSERT INTO "sessions" VALUES('forecast','grace','s-1','{}',1.79589955874583578109e+09,1.79589956985020875925e+09);
CREATE TABLE user_states (
    app_name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    state TEXT NOT NULL,
    update_time REAL NOT NULL,
    PRIMARY KEY (app_name, user_id)
);
INSERT INTO "user_states" VALUES('forecast','ada','{"name": "Ada"}',1.79589955845210361476e+09);
COMMIT;
