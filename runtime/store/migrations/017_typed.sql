-- A chat's question is answered with a reason, or with the words that a rule asks to be typed.
ALTER TABLE chat_prompt ADD COLUMN is_words boolean NOT NULL DEFAULT false;
